package zmtp

import (
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/curve25519"
)

// KeySize is the length of a CURVE key in binary; KeyTextSize in Z85.
const (
	KeySize     = 32
	KeyTextSize = 40
)

// Key is a Curve25519 key, public or secret.
type Key [KeySize]byte

// KeyPair is a secret key with its public key.
type KeyPair struct{ Public, Secret Key }

// NewKeyPair returns a random pair.
func NewKeyPair() KeyPair { return newKeyPair(randomBytes) }

func newKeyPair(random func([]byte)) KeyPair {
	var p KeyPair
	random(p.Secret[:])
	p.Public = PublicKey(p.Secret)
	return p
}

func randomBytes(b []byte) { _, _ = rand.Read(b) } // never fails: it aborts the program instead

// PublicKey returns the public key of a secret one.
func PublicKey(secret Key) Key {
	var public Key
	curve25519.ScalarBaseMult((*[32]byte)(&public), (*[32]byte)(&secret))
	return public
}

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
