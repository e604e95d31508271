package zmtp

import (
	"encoding/binary"
	"math"

	//lint:ignore SA1019 RFC 26 is made of it, see curveStream
	"golang.org/x/crypto/salsa20/salsa"
	"golang.org/x/sys/cpu"
)

// salsaXOR16 XORs 1024 bytes of src with the keystream of a state and of the
// fifteen that follow it. The lower half of the block number must not overflow.
//
//go:noescape
func salsaXOR16(dst, src *byte, state *[16]uint32)

const (
	wide = 16 * 64 // bytes that salsaXOR16 takes
	// leastWide is the number of bytes below wide from which it is faster than
	// four blocks at a time.
	leastWide = 4*64 + 1
)

var hasWide = cpu.X86.HasAVX512F

// xorKeyStream is salsa.XORKeyStream, sixteen blocks at a time where the
// processor can. dst and src overlap entirely or not at all.
func xorKeyStream(dst, src []byte, counter *[16]byte, key *[32]byte) {
	if !hasWide || len(src) < leastWide {
		salsa.XORKeyStream(dst, src, counter, key)
		return
	}
	state := [16]uint32{
		0: binary.LittleEndian.Uint32(salsa.Sigma[0:]), 5: binary.LittleEndian.Uint32(salsa.Sigma[4:]),
		10: binary.LittleEndian.Uint32(salsa.Sigma[8:]), 15: binary.LittleEndian.Uint32(salsa.Sigma[12:]),
	}
	for i := range 4 {
		state[1+i] = binary.LittleEndian.Uint32(key[4*i:])
		state[6+i] = binary.LittleEndian.Uint32(counter[4*i:])
		state[11+i] = binary.LittleEndian.Uint32(key[16+4*i:])
	}
	for len(src) >= leastWide && state[8] <= math.MaxUint32-16 {
		if len(src) < wide {
			var last [wide]byte
			copy(last[:], src)
			salsaXOR16(&last[0], &last[0], &state)
			copy(dst, last[:len(src)])
			return
		}
		salsaXOR16(&dst[0], &src[0], &state)
		dst, src = dst[wide:], src[wide:]
		state[8] += 16
	}
	if len(src) > 0 {
		next := *counter
		binary.LittleEndian.PutUint32(next[8:], state[8])
		salsa.XORKeyStream(dst, src, &next, key)
	}
}
