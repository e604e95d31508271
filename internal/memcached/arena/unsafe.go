package arena

import (
	"encoding/binary"
	"unsafe"
)

// Loc is the offset in bytes of something in a Memory. 0 is no location.
type Loc int64

// Memory is a range of addresses outside the Go heap. Its methods do not check
// their arguments: a location that is not in the range is a fault.
type Memory struct {
	base unsafe.Pointer
	size int64
}

// memoryOf is the Memory that b is all of.
func memoryOf(b []byte) Memory { return Memory{unsafe.Pointer(unsafe.SliceData(b)), int64(len(b))} }

// Size returns the length of the range in bytes.
func (m *Memory) Size() int64 { return m.size }

// at returns the byte at a location.
func (m *Memory) at(loc Loc) *byte { return (*byte)(unsafe.Add(m.base, loc)) }

// Bytes returns the n bytes at a location.
func (m *Memory) Bytes(loc Loc, n int64) []byte { return unsafe.Slice(m.at(loc), n) }

// Byte returns the byte at a location.
func (m *Memory) Byte(loc Loc) byte { return *m.at(loc) }

// Uint64 returns the little-endian number in the 8 bytes at a location.
func (m *Memory) Uint64(loc Loc) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Pointer(m.at(loc)))[:])
}

// At returns the T at a location, which must be aligned for it.
func At[T any](m *Memory, loc Loc) *T { return (*T)(unsafe.Add(m.base, loc)) }

// Slice returns the n values at a location, which must be aligned for T.
func Slice[T any](m *Memory, loc Loc, n int) []T {
	return unsafe.Slice((*T)(unsafe.Add(m.base, loc)), n)
}

// BytesOf returns the memory of *v.
func BytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// View returns the T that b begins with. b must be aligned for T and at least as
// long.
func View[T any](b []byte) *T { return (*T)(unsafe.Pointer(unsafe.SliceData(b))) }

// StartsIn reports whether the first byte of b is one of in's.
func StartsIn(b, in []byte) bool {
	from := uintptr(unsafe.Pointer(unsafe.SliceData(in)))
	return len(b) > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))-from < uintptr(len(in))
}

// addressed returns the n bytes at an address, which is none of Go's.
//
//lint:ignore U1000 used on Windows
func addressed(p uintptr, n int64) []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n)
}

// pointer returns the address of the first byte of b, for a system call.
//
//lint:ignore U1000 used on Windows and BSD
func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
