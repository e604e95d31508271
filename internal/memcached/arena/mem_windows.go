package store

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// reserve takes n bytes of address space; commit must be called before any of them is touched.
func reserve(n int64) (unsafe.Pointer, error) {
	p, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE, windows.PAGE_READWRITE)
	return address(p), err
}

func commit(p unsafe.Pointer, n int64) error {
	_, err := windows.VirtualAlloc(uintptr(p), uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

// decommit gives the pages back to the system and takes fresh ones, which cost nothing until they are touched.
func decommit(p unsafe.Pointer, n int64) {
	_ = windows.VirtualFree(uintptr(p), uintptr(n), windows.MEM_DECOMMIT)
}

func unreserve(p unsafe.Pointer, _ int64) error {
	return windows.VirtualFree(uintptr(p), 0, windows.MEM_RELEASE)
}

func smallPages(unsafe.Pointer, int64) {}

func hugePages(unsafe.Pointer, int64) {}

// address turns what the system returned into a pointer; the memory is not Go's, so the collector has no say in it.
func address(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
