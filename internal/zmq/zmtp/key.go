package zmtp

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	//lint:ignore SA1019 RFC 26 is made of it, see curveStream
	"golang.org/x/crypto/salsa20/salsa"
)

// KeySize is the length of a CURVE key in binary; KeyTextSize in Z85.
const (
	KeySize     = 32
	KeyTextSize = 40
)

// Key is a Curve25519 key, public or secret.
type Key [KeySize]byte

// KeyPair is a secret key with its public key.
type KeyPair struct {
	Public, Secret Key

	// exchange is Secret for crypto/ecdh, which computes the public key each
	// time it takes one: as much work as a shared key. So a pair that is used
	// for many connections is made once.
	exchange *ecdh.PrivateKey
}

// NewKeyPair returns a random pair.
func NewKeyPair() KeyPair { return newKeyPair(randomBytes) }

func newKeyPair(random func([]byte)) KeyPair {
	var secret Key
	random(secret[:])
	return PairOf(secret)
}

// PairOf returns the pair of a secret key.
func PairOf(secret Key) KeyPair {
	x, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic("zmtp: CURVE: " + err.Error()) // the program allows FIPS 140 only
	}
	return KeyPair{Public: Key(x.PublicKey().Bytes()), Secret: secret, exchange: x}
}

// shared computes the key that the pair shares with a public key. ok is false
// for a public key of low order, with which every secret key gives the same
// result.
func (p *KeyPair) shared(public *Key) (key Key, ok bool) {
	remote, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return key, false
	}
	point, err := p.exchange.ECDH(remote)
	if err != nil {
		return key, false
	}
	var zeros [16]byte
	salsa.HSalsa20((*[32]byte)(&key), &zeros, (*[32]byte)(point), &salsa.Sigma)
	return key, true
}

func randomBytes(b []byte) { _, _ = rand.Read(b) } // never fails: it aborts the program instead

// ParseKey reads a key: 32 bytes as they are, or 40 characters of Z85, which
// may end in the NUL that C programs count in.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) == KeyTextSize+1 && s[KeyTextSize] == 0 {
		s = s[:KeyTextSize]
	}
	switch len(s) {
	case KeySize:
		copy(k[:], s)
		return k, nil
	case KeyTextSize:
		b, err := DecodeZ85(s)
		if err != nil {
			return k, err
		}
		copy(k[:], b)
		return k, nil
	}
	return k, fmt.Errorf("zmtp: CURVE key of %d bytes, expected %d bytes or %d characters of Z85", len(s), KeySize, KeyTextSize)
}

// String returns the key in Z85.
func (k Key) String() string {
	s, err := EncodeZ85(k[:])
	if err != nil {
		panic(err) // KeySize is a multiple of 4
	}
	return s
}
