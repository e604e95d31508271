package zmtp

import (
	"crypto/subtle"
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/nacl/secretbox"

	//lint:ignore SA1019 RFC 26 is made of it, see curveStream
	"golang.org/x/crypto/poly1305"
	//lint:ignore SA1019 likewise
	"golang.org/x/crypto/salsa20/salsa"
)

// Sizes of the CURVE commands (RFC 26), name included.
const (
	curveHelloSize    = 200
	curveWelcomeSize  = 168
	curveInitiateSize = 257 // without metadata
	curveReadySize    = 30  // without metadata
	curveMessageSize  = 33  // with an empty payload
	curveCookieSize   = 96
)

// The prefixes that make the nonces of different boxes distinct: 16 bytes
// before a counter of 8, or 8 before 16 random ones.
const (
	nonceHello       = "CurveZMQHELLO---"
	nonceWelcome     = "WELCOME-"
	nonceCookie      = "COOKIE--"
	nonceInitiate    = "CurveZMQINITIATE"
	nonceVouch       = "VOUCH---"
	nonceReady       = "CurveZMQREADY---"
	nonceFromClient  = "CurveZMQMESSAGEC"
	nonceFromServer  = "CurveZMQMESSAGES"
	curveMessageName = "\x07MESSAGE"
)

// Flags inside a MESSAGE box.
const (
	curveMore    = 1 << 0
	curveCommand = 1 << 1
)

func nonce(prefix string, rest []byte) *[24]byte {
	var n [24]byte
	copy(n[copy(n[:], prefix):], rest)
	return &n
}

// seal appends a box of the handshake.
func seal(dst, message []byte, prefix string, rest []byte, key *Key) []byte {
	return secretbox.Seal(dst, message, nonce(prefix, rest), (*[32]byte)(key))
}

func open(dst, box []byte, prefix string, rest []byte, key *Key) ([]byte, bool) {
	return secretbox.Open(dst, box, nonce(prefix, rest), (*[32]byte)(key))
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// curveStream is one direction of traffic. A MESSAGE box is crypto_box with the
// nonce prefix ‖ counter. Its first step derives a key from the shared key and
// the first 16 bytes of the nonce; those are the prefix, the same in every
// message, so the derived key is kept. Boxes are therefore built from their
// parts here. It saves an HSalsa20 for each message, and the copies that
// secretbox needs to put a flag octet before a payload.
type curveStream struct {
	key     Key
	counter uint64 // last one used, or seen
}

func newCurveStream(key *Key, prefix string, counter uint64) curveStream {
	s := curveStream{counter: counter}
	var in [16]byte
	copy(in[:], prefix)
	salsa.HSalsa20((*[32]byte)(&s.key), &in, (*[32]byte)(key), &salsa.Sigma)
	return s
}

type curveSealer struct{ out, in curveStream }

func newCurveSealer(key *Key, asServer bool, out, in uint64) *curveSealer {
	outPrefix, inPrefix := nonceFromClient, nonceFromServer
	if asServer {
		outPrefix, inPrefix = inPrefix, outPrefix
	}
	return &curveSealer{out: newCurveStream(key, outPrefix, out), in: newCurveStream(key, inPrefix, in)}
}

func (c *curveSealer) SealedSize(n int) int {
	return Framing2.HeaderSize(n+curveMessageSize) + n + curveMessageSize
}

func (c *curveSealer) Overhead() int { return curveMessageSize }

func (c *curveSealer) Seal(dst []byte, flags byte, payload []byte) []byte {
	size := len(payload) + curveMessageSize
	dst = slices.Grow(dst, MaxHeader+size)
	dst = Framing2.AppendHeader(dst, 0, size)
	body := dst[len(dst) : len(dst)+size]
	dst = dst[:len(dst)+size]

	s := &c.out
	s.counter++
	var counter [16]byte
	binary.BigEndian.PutUint64(counter[:], s.counter)

	const front = curveMessageSize - 1
	var inner byte
	if flags&FlagMore != 0 {
		inner |= curveMore
	}
	if flags&FlagCommand != 0 {
		inner |= curveCommand
	}
	var tagKey [32]byte
	if len(payload) < sealDirect {
		// The first 32 bytes of the keystream are the key of the tag. They are
		// written where name, nonce and tag are put afterwards, so one pass
		// computes both.
		clear(body[:front])
		body[front] = inner
		copy(body[front+1:], payload)
		salsa.XORKeyStream(body, body, &counter, (*[32]byte)(&s.key))
		copy(tagKey[:], body)
	} else {
		var block [64]byte
		salsa.XORKeyStream(block[:], block[:], &counter, (*[32]byte)(&s.key))
		copy(tagKey[:], block[:])
		body[front] = inner ^ block[32]
		subtle.XORBytes(body[front+1:64], payload[:31], block[33:])
		counter[8] = 1
		xorKeyStream(body[64:], payload[31:], &counter, (*[32]byte)(&s.key))
	}
	var tag [16]byte
	poly1305.Sum(&tag, body[front:], &tagKey)
	copy(body, curveMessageName)
	copy(body[8:], counter[:8])
	copy(body[16:], tag[:])
	return dst
}

// sealDirect is the payload size from which a second pass costs less than a
// copy.
const sealDirect = 512

func (c *curveSealer) Open(body []byte) (h Header, payload []byte, err error) {
	block, counter, err := c.in.verify(body)
	if err != nil {
		return Header{}, nil, err
	}
	box := body[curveMessageSize-1:]
	n := min(len(box), 32)
	subtle.XORBytes(box[:n], box[:n], block[32:])
	xorKeyStream(box[n:], box[n:], &counter, (*[32]byte)(&c.in.key))
	return curveHeader(box[0], len(box)-1), box[1:], nil
}

func (c *curveSealer) OpenInto(dst, body []byte) (h Header, out []byte, err error) {
	block, counter, err := c.in.verify(body)
	if err != nil {
		return Header{}, dst, err
	}
	box := body[curveMessageSize:]
	dst = slices.Grow(dst, len(box))
	payload := dst[len(dst) : len(dst)+len(box)]
	n := min(len(box), 31)
	subtle.XORBytes(payload[:n], box[:n], block[33:])
	xorKeyStream(payload[n:], box[n:], &counter, (*[32]byte)(&c.in.key))
	return curveHeader(body[curveMessageSize-1]^block[32], len(box)), dst[:len(dst)+len(box)], nil
}

// curveHeader is the header of the frame inside a box.
func curveHeader(inner byte, size int) Header {
	h := Header{Size: size}
	if inner&curveMore != 0 {
		h.Flags |= FlagMore
	}
	if inner&curveCommand != 0 {
		h.Flags |= FlagCommand
	}
	return h
}

// verify checks a MESSAGE command. It returns the first block of its keystream,
// whose second half belongs to the first bytes of the box, and the counter of
// the next block.
func (s *curveStream) verify(body []byte) (block [64]byte, counter [16]byte, err error) {
	if len(body) < curveMessageSize || string(body[:8]) != curveMessageName {
		return block, counter, errorf(CodeMalformedMessage, "CURVE: frame of %d bytes is no MESSAGE command", len(body))
	}
	number := binary.BigEndian.Uint64(body[8:])
	if number <= s.counter {
		return block, counter, errorf(CodeInvalidSequence, "CURVE: nonce %d after %d, expected it to grow", number, s.counter)
	}
	copy(counter[:], body[8:16])
	salsa.XORKeyStream(block[:], block[:], &counter, (*[32]byte)(&s.key))
	if !poly1305.Verify((*[16]byte)(body[16:32]), body[32:], (*[32]byte)(block[:32])) {
		return block, counter, errorf(CodeCryptographic, "CURVE: MESSAGE does not verify")
	}
	s.counter = number
	counter[8] = 1
	return block, counter, nil
}
