package pgm

import (
	"math/rand/v2"
	"testing"
)

// The sum by words of eight octets is that by words of two (RFC 1071).
func TestChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 200)
	for n := range len(b) {
		for _, fill := range []func() byte{func() byte { return byte(rng.Uint32()) }, func() byte { return 0xff }, func() byte { return 0 }} {
			var want uint32
			for i := range n {
				b[i] = fill()
				want += uint32(b[i]) << (8 * (1 - i%2))
			}
			for want > 0xffff {
				want = want>>16 + want&0xffff
			}
			if got := checksum(b[:n]); got != ^uint16(want) {
				t.Fatalf("%x: %#x, want %#x", b[:n], got, ^uint16(want))
			}
		}
	}
}
