package arena

import "golang.org/x/sys/windows"

// Reserve takes n bytes of addresses. Commit must be called before any of them
// is touched.
func Reserve(n int64) (Memory, error) {
	p, err := windows.VirtualAlloc(0, uintptr(n), windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return Memory{}, err
	}
	return memoryOf(addressed(p, n)), nil
}

// Commit makes a part of a reservation usable.
func (m *Memory) Commit(loc Loc, n int64) error {
	_, err := windows.VirtualAlloc(uintptr(pointer(m.Bytes(loc, n))), uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

// Decommit returns the pages of n bytes at loc to the system. Commit must be
// called before they are used again; they then read as zero.
func (m *Memory) Decommit(loc Loc, n int64) {
	_ = windows.VirtualFree(uintptr(pointer(m.Bytes(loc, n))), uintptr(n), windows.MEM_DECOMMIT)
}

// Release gives the addresses back.
func (m *Memory) Release() error {
	return windows.VirtualFree(uintptr(pointer(m.Bytes(0, m.size))), 0, windows.MEM_RELEASE)
}

// SmallPages has no effect on this system.
func (m *Memory) SmallPages(Loc, int64) {}

// HugePages has no effect on this system.
func (m *Memory) HugePages(Loc, int64) {}
