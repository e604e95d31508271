package store

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// decommit gives the pages back to the system; they stay usable and read as zero.
func decommit(p unsafe.Pointer, n int64) {
	_ = unix.Madvise(unsafe.Slice((*byte)(p), n), unix.MADV_DONTNEED)
}

// smallPages keeps the kernel from backing sparsely used memory with huge pages, which would be resident as a whole.
func smallPages(p unsafe.Pointer, n int64) {
	_ = unix.Madvise(unsafe.Slice((*byte)(p), n), unix.MADV_NOHUGEPAGE)
}
