package placement

import (
	"encoding/binary"
	"math/bits"
)

// The constants of XXH3, from the xxHash specification.
const (
	xxPrime32x1 = 0x9E3779B1
	xxPrime32x2 = 0x85EBCA77
	xxPrime32x3 = 0xC2B2AE3D
	xxPrime64x1 = 0x9E3779B185EBCA87
	xxPrime64x2 = 0xC2B2AE3D27D4EB4F
	xxPrime64x3 = 0x165667B19E3779F9
	xxPrime64x4 = 0x85EBCA77C2B2AE63
	xxPrime64x5 = 0x27D4EB2F165667C5
	xxPrimeMX1  = 0x165667919E3779F9
	xxPrimeMX2  = 0x9FB21C651E98DF25
)

var xxSecret = [192]byte{
	0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
	0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
	0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
	0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
	0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
	0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
	0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
	0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
	0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
	0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
	0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
	0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
}

func xxSec(i int) uint64   { return binary.LittleEndian.Uint64(xxSecret[i:]) }
func xx64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func xx32(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
func xxFold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func xxAvalanche(h uint64) uint64 {
	h ^= h >> 37
	h *= xxPrimeMX1
	return h ^ h>>32
}

func xx64Avalanche(h uint64) uint64 {
	h ^= h >> 33
	h *= xxPrime64x2
	h ^= h >> 29
	h *= xxPrime64x3
	return h ^ h>>32
}

// xxMix folds 16 bytes of input with 16 bytes of the secret.
func xxMix(b []byte, secret int) uint64 {
	return xxFold(xx64(b)^xxSec(secret), xx64(b[8:])^xxSec(secret+8))
}

// xxh3 is XXH3_64bits with seed 0.
func xxh3(key string) uint64 {
	b := view(key)
	n := len(b)
	switch {
	case n == 0:
		return xx64Avalanche(xxSec(56) ^ xxSec(64))
	case n <= 3:
		v := uint32(b[0])<<16 | uint32(b[n>>1])<<24 | uint32(b[n-1]) | uint32(n)<<8
		return xx64Avalanche(uint64(v) ^ (xx32(xxSecret[:]) ^ xx32(xxSecret[4:])))
	case n <= 8:
		v := (xx32(b[n-4:]) + xx32(b)<<32) ^ (xxSec(8) ^ xxSec(16))
		v ^= bits.RotateLeft64(v, 49) ^ bits.RotateLeft64(v, 24)
		v *= xxPrimeMX2
		v ^= v>>35 + uint64(n)
		v *= xxPrimeMX2
		return v ^ v>>28
	case n <= 16:
		lo := xx64(b) ^ (xxSec(24) ^ xxSec(32))
		hi := xx64(b[n-8:]) ^ (xxSec(40) ^ xxSec(48))
		return xxAvalanche(uint64(n) + bits.ReverseBytes64(lo) + hi + xxFold(lo, hi))
	case n <= 128:
		acc := uint64(n) * xxPrime64x1
		for i := (n - 1) / 32; i >= 0; i-- {
			acc += xxMix(b[16*i:], 32*i) + xxMix(b[n-16*(i+1):], 32*i+16)
		}
		return xxAvalanche(acc)
	case n <= 240:
		acc := uint64(n) * xxPrime64x1
		for i := range 8 {
			acc += xxMix(b[16*i:], 16*i)
		}
		acc = xxAvalanche(acc)
		for i := 8; i < n/16; i++ {
			acc += xxMix(b[16*i:], 16*(i-8)+3)
		}
		return xxAvalanche(acc + xxMix(b[n-16:], 136-17))
	}
	return xxh3Long(b)
}

// xxh3Long hashes keys of more than 240 bytes: stripes of 64 bytes into eight
// lanes, which are scrambled after each 1024 bytes.
func xxh3Long(b []byte) uint64 {
	const stripe, perBlock = 64, (192 - 64) / 8
	acc := [8]uint64{xxPrime32x3, xxPrime64x1, xxPrime64x2, xxPrime64x3, xxPrime64x4, xxPrime32x2, xxPrime64x5, xxPrime32x1}
	add := func(b []byte, secret int) {
		for i := range acc {
			v := xx64(b[8*i:])
			k := v ^ xxSec(secret+8*i)
			acc[i^1] += v
			acc[i] += (k & 0xffffffff) * (k >> 32)
		}
	}
	n := len(b)
	stripes := (n - 1) / stripe
	for s := range stripes {
		add(b[s*stripe:], 8*(s%perBlock))
		if s%perBlock == perBlock-1 {
			for i := range acc {
				acc[i] = (acc[i] ^ acc[i]>>47 ^ xxSec(192-64+8*i)) * xxPrime32x1
			}
		}
	}
	add(b[n-stripe:], 192-stripe-7)
	h := uint64(n) * xxPrime64x1
	for i := range 4 {
		h += xxFold(acc[2*i]^xxSec(11+16*i), acc[2*i+1]^xxSec(11+16*i+8))
	}
	return xxAvalanche(h)
}
