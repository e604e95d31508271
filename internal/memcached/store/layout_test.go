package store

import (
	"testing"
	"unsafe"
)

// The hot fields of a shard lie in as many cache lines as its comments say, and
// a segment's header is followed by records at once.
func TestLayout(t *testing.T) {
	var p part
	for _, x := range []struct {
		what      string
		got, want uintptr
	}{
		{"size of a shard, modulo two lines", unsafe.Sizeof(shard{}) % 128, 0},
		{"offset of what is read", unsafe.Offsetof(p.s), 64},
		{"offset of what is shared", unsafe.Offsetof(p.items), 256},
		{"offset of the rest", unsafe.Offsetof(p.search), 320},
		{"room in a segment's header", min(unsafe.Sizeof(segment{}), segmentHeader), unsafe.Sizeof(segment{})},
		{"end of what a change touches", unsafe.Offsetof(segment{}.expiry), 48},
	} {
		if x.got != x.want {
			t.Errorf("%s is %d, want %d", x.what, x.got, x.want)
		}
	}
}
