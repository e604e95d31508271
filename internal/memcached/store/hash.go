package store

import (
	"encoding/binary"
	"math/bits"
)

// keyed is the secret under which keys are hashed, so that clients cannot choose
// keys that collide.
type keyed [2]uint64

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (k keyed) sum(b []byte) uint64 {
	h := k[0] ^ uint64(len(b))*0x9e3779b97f4a7c15
	for len(b) > 16 {
		h = fold(binary.LittleEndian.Uint64(b)^h, binary.LittleEndian.Uint64(b[8:])^k[1])
		b = b[16:]
	}
	var x, y uint64
	switch {
	case len(b) >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:])
	case len(b) >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	case len(b) > 0:
		x, y = uint64(b[0])<<16|uint64(b[len(b)/2])<<8|uint64(b[len(b)-1]), 0
	}
	h = fold(x^h, y^k[1])
	return fold(h^0xd6e8feb86659fd93, k[0]^0xa0761d6478bd642f)
}
