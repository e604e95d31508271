package flow

import (
	"math/bits"
	"sync"
)

// Large buffers come in powers of two from 8 KiB to 4 MiB and are reused after
// PutBuffer. Not calling it is safe.
const (
	minPooled = 13 // 8 KiB
	maxPooled = 22 // 4 MiB
	// pooledMark is what the capacity of a pooled buffer has beyond a power of
	// two. By that we know ours: a receiver may give back a frame that its
	// sender has other plans for.
	pooledMark = 48
)

// class tells which pool a buffer of a capacity belongs to.
func class(capacity int) (c int, ok bool) {
	c = bits.Len(uint(capacity)) - 1
	return c, c >= minPooled && c <= maxPooled && capacity == 1<<c+pooledMark
}

// unpooled is b with a capacity by which PutBuffer leaves it alone.
func unpooled(b []byte) []byte {
	b = b[:len(b):len(b)]
	if _, ok := class(len(b)); ok {
		return append(b, 0)[:len(b)]
	}
	return b
}

var pools [maxPooled + 1]sync.Pool

// GetBuffer returns n bytes of arbitrary content.
func GetBuffer(n int) []byte {
	c := bits.Len(uint(n - 1))
	if n <= 0 || c > maxPooled {
		return make([]byte, n)
	}
	c = max(c, minPooled)
	if v, _ := pools[c].Get().(*[]byte); v != nil {
		b := *v
		*v = nil
		headers.Put(v)
		return b[:n]
	}
	return make([]byte, n, 1<<c+pooledMark)
}

// headers spares PutBuffer the allocation of a slice header.
var headers = sync.Pool{New: func() any { return new([]byte) }}

// PutBuffer returns a buffer to the pool. The caller must not use it
// afterwards. Buffers that did not come from GetBuffer are left to the garbage
// collector.
func PutBuffer(b []byte) {
	c, ok := class(cap(b))
	if !ok {
		return
	}
	v := headers.Get().(*[]byte)
	*v = b[:0]
	pools[c].Put(v)
}

// encSize is the capacity of pooled buffers for encoding and for reading.
const encSize = 64 << 10

var encs = sync.Pool{New: func() any { b := make([]byte, encSize); return &b }}

// GetBlock returns 64 KiB to read or encode into, for as long as there is
// something to read or encode: what waits should hold none.
func GetBlock() []byte {
	v := encs.Get().(*[]byte)
	b := *v
	*v = nil
	headers.Put(v)
	return b[:encSize]
}

// PutBlock gives back what GetBlock returned, or what it grew to.
func PutBlock(b []byte) {
	if cap(b) < encSize || cap(b) > 2*encSize {
		return
	}
	v := headers.Get().(*[]byte)
	*v = b[:cap(b)]
	encs.Put(v)
}
