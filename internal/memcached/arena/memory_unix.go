//go:build unix

package arena

import "golang.org/x/sys/unix"

// Reserve maps n bytes of anonymous memory, which cost nothing until they are
// touched.
func Reserve(n int64) (Memory, error) {
	b, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	return memoryOf(b), err
}

// Commit makes a part of a reservation usable.
func (m *Memory) Commit(Loc, int64) error { return nil }

// Release unmaps the memory.
func (m *Memory) Release() error { return unix.Munmap(m.Bytes(0, m.size)) }
