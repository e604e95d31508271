package placement

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// keyHash hashes a key to 32 bits.
type keyHash func(key string) uint32

// view returns the bytes of s without a copy. They must not be modified.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// signed sign-extends a byte as C does for signed char. The C clients' hashes of
// non-ASCII keys depend on it.
func signed(b byte) uint32 { return uint32(int32(int8(b))) }

// hashesOf maps the hash names of each family to functions; "" is the default.
var hashesOf = map[string]map[string]keyHash{
	"libmemcached": {
		"": oneAtATime, "one_at_a_time": oneAtATime, "default": oneAtATime, "md5": hashMD5, "crc": hashCRC15,
		"fnv1_32": fnv1x32, "fnv1a_32": fnv1ax32, "fnv1_64": fnv1x64, "fnv1a_64": fnv1ax64,
		"hsieh": hsieh, "murmur": murmur2, "jenkins": jenkins,
	},
	"twemproxy": {
		"": fnv1ax64, "one_at_a_time": oneAtATime, "md5": hashMD5, "crc16": crc16, "crc32": hashCRC15, "crc32a": hashCRC,
		"fnv1_32": fnv1x32, "fnv1a_32": fnv1ax32, "fnv1_64": fnv1x64, "fnv1a_64": fnv1ax64,
		"hsieh": hsieh, "murmur": murmur2, "jenkins": jenkins,
	},
}

func findHash(family, name string) (keyHash, error) {
	h, ok := hashesOf[family][name]
	if !ok {
		names := slices.Sorted(maps.Keys(hashesOf[family]))[1:] // without ""
		return nil, fmt.Errorf("placement: %s has no hash %q, expected one of %s", family, name, strings.Join(names, ", "))
	}
	return h, nil
}

func hashCRC(key string) uint32 { return crc32.ChecksumIEEE(view(key)) }

// hashCRC15 is libmemcached's crc: bits 16 to 30 of the CRC.
func hashCRC15(key string) uint32 { return hashCRC(key) >> 16 & 0x7fff }

func hashMD5(key string) uint32 {
	sum := md5.Sum(view(key))
	return binary.LittleEndian.Uint32(sum[:])
}

func oneAtATime(key string) uint32 {
	var h uint32
	for i := 0; i < len(key); i++ {
		h += signed(key[i])
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	return h + h<<15
}

func fnv1x32(key string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(key); i++ {
		h = h*16777619 ^ signed(key[i])
	}
	return h
}

func fnv1ax32(key string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(key); i++ {
		h = (h ^ signed(key[i])) * 16777619
	}
	return h
}

func fnv1x64(key string) uint32 {
	h := uint64(0xcbf29ce484222325)
	for i := 0; i < len(key); i++ {
		h = h*0x100000001b3 ^ uint64(int64(int8(key[i])))
	}
	return uint32(h)
}

// fnv1ax64 is libmemcached's fnv1a_64. Its state has 32 bits, because libmemcached
// truncates both constants.
func fnv1ax64(key string) uint32 {
	h := uint32(0x84222325)
	for i := 0; i < len(key); i++ {
		h = (h ^ signed(key[i])) * 0x1b3
	}
	return h
}

// crc16 is twemproxy's crc16: CRC-16/XMODEM in a 32-bit variable that is not
// truncated to 16 bits.
func crc16(key string) uint32 {
	var crc uint32
	for i := 0; i < len(key); i++ {
		r := (crc ^ uint32(key[i])<<8) & 0xff00
		for range 8 {
			if r <<= 1; r&0x10000 != 0 {
				r ^= 0x11021
			}
		}
		crc = crc<<8 ^ r
	}
	return crc
}

// hsieh is Paul Hsieh's SuperFastHash.
func hsieh(key string) uint32 {
	b := view(key)
	if len(b) == 0 {
		return 0
	}
	var h uint32
	for ; len(b) >= 4; b = b[4:] {
		h += uint32(b[0]) | uint32(b[1])<<8
		h = h<<16 ^ (uint32(b[2])|uint32(b[3])<<8)<<11 ^ h
		h += h >> 11
	}
	switch len(b) {
	case 3:
		h += uint32(b[0]) | uint32(b[1])<<8
		h ^= h << 16
		h ^= signed(b[2]) << 18
		h += h >> 11
	case 2:
		h += uint32(b[0]) | uint32(b[1])<<8
		h ^= h << 11
		h += h >> 17
	case 1:
		h += uint32(b[0])
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	return h + h>>6
}

// murmur2 is MurmurHash2 with libmemcached's seed.
func murmur2(key string) uint32 {
	const m = 0x5bd1e995
	b := view(key)
	n := uint32(len(b))
	h := 0xdeadbeef*n ^ n
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(b) > 0 {
		for i, c := range b {
			h ^= uint32(c) << (8 * i)
		}
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// murmur3 is MurmurHash3_x86_32 with seed 0.
func murmur3(parts ...string) uint32 {
	var m murmur3State
	for _, p := range parts {
		m.write(p)
	}
	return m.sum()
}

// murmur3State hashes a key in pieces, without concatenating them.
type murmur3State struct {
	h, tail uint32
	n       uint32
}

func (m *murmur3State) write(s string) {
	for i := 0; i < len(s); i++ {
		m.add(s[i])
	}
}

func (m *murmur3State) add(b byte) {
	m.tail |= uint32(b) << (8 * (m.n & 3))
	if m.n++; m.n&3 == 0 {
		m.h = bits.RotateLeft32(m.h^scramble3(m.tail), 13)*5 + 0xe6546b64
		m.tail = 0
	}
}

// writePython hashes s as pymemcache does: the low byte of each code point.
func (m *murmur3State) writePython(s string) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = rune(s[i])
		}
		m.add(byte(r))
		i += n
	}
}

func (m *murmur3State) sum() uint32 {
	h := m.h
	if m.n&3 != 0 {
		h ^= scramble3(m.tail)
	}
	h ^= m.n
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

func scramble3(k uint32) uint32 {
	return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593
}

// jenkins is Bob Jenkins' lookup3 (hashlittle) with initial value 13.
func jenkins(key string) uint32 {
	rot := bits.RotateLeft32
	buf := view(key)
	a := 0xdeadbeef + uint32(len(buf)) + 13
	b, c := a, a
	word := func(p []byte) uint32 { return binary.LittleEndian.Uint32(p) }
	for ; len(buf) > 12; buf = buf[12:] {
		a += word(buf)
		b += word(buf[4:])
		c += word(buf[8:])
		a -= c
		a ^= rot(c, 4)
		c += b
		b -= a
		b ^= rot(a, 6)
		a += c
		c -= b
		c ^= rot(b, 8)
		b += a
		a -= c
		a ^= rot(c, 16)
		c += b
		b -= a
		b ^= rot(a, 19)
		a += c
		c -= b
		c ^= rot(b, 4)
		b += a
	}
	if len(buf) == 0 {
		return c
	}
	var last [12]byte
	copy(last[:], buf)
	a += word(last[:])
	b += word(last[4:])
	c += word(last[8:])
	c ^= b
	c -= rot(b, 14)
	a ^= c
	a -= rot(c, 11)
	b ^= a
	b -= rot(a, 25)
	c ^= b
	c -= rot(b, 16)
	a ^= c
	a -= rot(c, 4)
	b ^= a
	b -= rot(a, 14)
	c ^= b
	return c - rot(b, 24)
}

// javaHash is Java's String.hashCode, over the UTF-16 form of key.
func javaHash(key string) uint32 {
	var h uint32
	for i := 0; i < len(key); {
		r, n := utf8.DecodeRuneInString(key[i:])
		i += n
		if r >= 0x10000 {
			r -= 0x10000
			h = h*31 + uint32(0xd800+r>>10)
			r = 0xdc00 + r&0x3ff
		}
		h = h*31 + uint32(r)
	}
	return h
}
