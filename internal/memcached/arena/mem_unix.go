//go:build unix

package store

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps n bytes of anonymous memory that cost nothing until they are touched.
func reserve(n int64) (unsafe.Pointer, error) {
	return unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
}

// commit makes bytes of a reservation usable.
func commit(unsafe.Pointer, int64) error { return nil }

// unreserve gives back what reserve returned.
func unreserve(p unsafe.Pointer, n int64) error { return unix.MunmapPtr(p, uintptr(n)) }
