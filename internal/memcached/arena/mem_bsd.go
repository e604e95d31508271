//go:build unix && !linux

package store

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// decommit gives the pages back to the system. madvise is only a hint here, so fresh pages are mapped over the old ones.
func decommit(p unsafe.Pointer, n int64) {
	_, _ = unix.MmapPtr(-1, 0, p, uintptr(n), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
}

func smallPages(unsafe.Pointer, int64) {}

func hugePages(unsafe.Pointer, int64) {}

// punch would give back what is behind a part of the file; there is no portable way here, and it will be used again.
func (f *file) punch(int64, int64) {}
