//go:build !amd64

package zmtp

import (
	//lint:ignore SA1019 RFC 26 is made of it, see curveStream
	"golang.org/x/crypto/salsa20/salsa"
)

func xorKeyStream(dst, src []byte, counter *[16]byte, key *[32]byte) {
	salsa.XORKeyStream(dst, src, counter, key)
}
