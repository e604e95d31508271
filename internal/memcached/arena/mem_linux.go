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

// hugePages asks the kernel to back densely used memory with huge pages, which saves most of the address translation that a
// look-up in a large store waits for.
func hugePages(p unsafe.Pointer, n int64) {
	_ = unix.Madvise(unsafe.Slice((*byte)(p), n), unix.MADV_HUGEPAGE)
}

// punch gives back the memory or disk blocks behind a part of the file, which then reads as zero.
func (f *file) punch(at, n int64) {
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(f.base, at)), n), unix.MADV_REMOVE)
}
