package store

import (
	"encoding/binary"
	"hash/crc32"

	"lintel.dev/internal/memcached/arena"
)

// A record is an item in a segment, without padding:
//
//	key length      1 byte
//	shape           1 byte, the bits below
//	access          3 bytes, see accessAt
//	value length    1 to 4 bytes
//	checksum        4 bytes in a restart file, else 0
//	CAS             0, 3, 4 or 8 bytes
//	expiry          0 or 5 bytes, unix seconds
//	flags           0 or 4 bytes
//	key, value
//
// Integers are little endian. An item's CAS value follows from where its record
// was first written. A record that was moved has it as the distance below that of
// the segment. One that was changed in place, or whose CAS value a client chose,
// has it in full.
const (
	shapeLen    = 3 << 0 // bytes of the value length, less 1
	shapeCAS    = 3 << 2 // index in casWidth
	shapeExpiry = 1 << 4
	shapeFlags  = 1 << 5
	shapeStale  = 1 << 6
	shapeWon    = 1 << 7
)

const (
	casImplied = iota << 2
	casNear
	casFar
	casFull
)

var casWidth = [4]uint8{0, 3, 4, 8}

// access is the second of the last access, modulo 2^23 (97 days), shifted left by
// one. Bit 0 says that the item was fetched. All ones marks a dead record.
const (
	accessAt  = 2
	accessMod = 1 << 23
	dead      = 1<<24 - 1
	lenAt     = 5
)

// maxExpiry is the expiry of a record that never expires but has the field. Later
// times also mean never.
const maxExpiry = 1<<40 - 1

// record is a decoded record. It refers to the bytes in the arena.
type record struct {
	b   []byte // all of it
	loc arena.Loc
	offsets
	value uint16 // offset, too
}

// header is the header of a new record.
type header struct {
	shape  byte
	fetch  bool
	cas    uint64 // in full, or the distance
	expiry int64
	flags  uint32
	access int64
	sum    int // bytes of the checksum
}

func lenWidth(n int) int {
	switch {
	case n < 1<<8:
		return 1
	case n < 1<<16:
		return 2
	case n < 1<<24:
		return 3
	}
	return 4
}

// length returns how many bytes the record takes.
func (h *header) length(nkey, nvalue int) int {
	n := lenAt + lenWidth(nvalue) + h.sum + int(casWidth[h.shape&shapeCAS>>2]) + nkey + nvalue
	if h.shape&shapeExpiry != 0 {
		n += 5
	}
	if h.shape&shapeFlags != 0 {
		n += 4
	}
	return n
}

// write encodes all but the value into b and returns the offset of the value.
func (h *header) write(b, key []byte, nvalue int) int {
	w := lenWidth(nvalue)
	n := lenAt + w
	if head := uint64(len(key)) | uint64(h.shape|byte(w-1))<<8 | uint64(packAccess(h.access, h.fetch))<<16; w < 4 && len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, head|uint64(nvalue)<<40)
	} else {
		putN(b, head, lenAt)
		putN(b[lenAt:], uint64(nvalue), w)
	}
	n += h.sum
	if w := int(casWidth[h.shape&shapeCAS>>2]); w > 0 {
		putN(b[n:], h.cas, w)
		n += w
	}
	if h.shape&shapeExpiry != 0 {
		putN(b[n:], uint64(h.expiry), 5)
		n += 5
	}
	if h.shape&shapeFlags != 0 {
		binary.LittleEndian.PutUint32(b[n:], h.flags)
		n += 4
	}
	return n + copy(b[n:], key)
}

// offsets are the offsets of the parts of a record.
type offsets struct{ cas, exp, flags, key uint8 }

// layouts has the offsets of every shape. Computing them would be a chain of
// dependent loads.
var layouts, sumLayouts = layoutsOf(0), layoutsOf(sumLen)

func layoutsOf(sum uint8) (all [256]offsets) {
	for shape := range all {
		o := &all[shape]
		o.cas = lenAt + 1 + uint8(shape)&shapeLen + sum
		o.exp = o.cas + casWidth[shape&shapeCAS>>2]
		o.flags = o.exp + uint8(shape)/shapeExpiry&1*5
		o.key = o.flags + uint8(shape)/shapeFlags&1*4
	}
	return all
}

// sumLen is the length of the checksum of a record in a restart file: CRC-32C of
// all of the record but the access field and the checksum itself.
const sumLen = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf returns the checksum of the record b, which has it at at.
func sumOf(b []byte, at int) uint32 {
	c := crc32.Update(0, castagnoli, b[:accessAt])
	c = crc32.Update(c, castagnoli, b[lenAt:at])
	return crc32.Update(c, castagnoli, b[at+sumLen:])
}

// seal writes the checksum of a new record.
func (h *header) seal(b []byte, nvalue int) {
	if h.sum > 0 {
		at := lenAt + lenWidth(nvalue)
		binary.LittleEndian.PutUint32(b[at:], sumOf(b, at))
	}
}

// sound reports whether the checksum of a record that has one is right.
func (r *record) sound() bool {
	at := int(r.cas) - sumLen
	return binary.LittleEndian.Uint32(r.b[at:]) == sumOf(r.b, at)
}

// decode decodes the record at loc, which must be one. It reads 8 bytes and the
// shortest record has 7, so a segment is never filled to its last byte.
func (r *record) decode(m *pool, loc arena.Loc) {
	head := m.Uint64(loc)
	shape := uint8(head >> 8)
	n := int(head >> (8 * lenAt) & (1<<(shape&shapeLen*8+8) - 1))
	if shape&shapeLen == shapeLen {
		n |= int(m.Byte(loc+lenAt+3)) << 24
	}
	r.offsets = m.layouts[shape]
	r.value = uint16(r.key) + uint16(uint8(head))
	r.loc = loc
	r.b = m.Bytes(loc, int64(r.value)+int64(n))
}

func (r *record) keyLen() int        { return int(r.value) - int(r.key) }
func (r *record) valueLen() int      { return len(r.b) - int(r.value) }
func (r *record) keyBytes() []byte   { return r.b[r.key:r.value:r.value] }
func (r *record) valueBytes() []byte { return r.b[r.value:len(r.b):len(r.b)] }
func (r *record) shape() byte        { return r.b[1] }
func (r *record) dead() bool         { return get24(r.b[accessAt:]) == dead }
func (r *record) kill()              { put24(r.b[accessAt:], dead) }
func (r *record) fetched() bool      { return r.b[accessAt]&1 != 0 }

func (r *record) flagBits() uint32 {
	if r.shape()&shapeFlags == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(r.b[r.flags:])
}

func (r *record) expiry() int64 {
	if r.shape()&shapeExpiry == 0 {
		return 0
	}
	if e := int64(getN(r.b[r.exp:], 5)); e != maxExpiry {
		return e
	}
	return 0
}

// access returns the unix second of the last access, as of now.
func (r *record) access(now int64) int64 {
	at := int64(get24(r.b[accessAt:]) >> 1)
	return now - (now-at)&(accessMod-1)
}

func (r *record) setAccess(now int64, fetched bool) {
	a := packAccess(now, fetched)
	if get24(r.b[accessAt:]) != a {
		put24(r.b[accessAt:], a)
	}
}

func packAccess(now int64, fetched bool) uint32 {
	a := uint32(now&(accessMod-1)) << 1
	if fetched {
		a |= 1
	}
	if a == dead {
		a -= 2
	}
	return a
}

// frozen runs a change of more than one byte with the record marked as dead, so
// that a process killed meanwhile leaves no half-changed item in a restart file.
func (r *record) frozen(p *pool, change func()) {
	a := get24(r.b[accessAt:])
	r.kill()
	arena.Barrier()
	change()
	if p.sums > 0 {
		at := int(r.cas) - sumLen
		binary.LittleEndian.PutUint32(r.b[at:], sumOf(r.b, at))
	}
	arena.Barrier()
	put24(r.b[accessAt:], a)
}

func get24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

func put24(b []byte, v uint32) { b[0], b[1], b[2] = byte(v), byte(v>>8), byte(v>>16) }

func getN(b []byte, n int) (v uint64) {
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func putN(b []byte, v uint64, n int) {
	for i := range n {
		b[i] = byte(v >> (8 * i))
	}
}
