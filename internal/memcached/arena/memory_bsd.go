//go:build unix && !linux

package arena

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Decommit returns the pages of n bytes at loc to the system. They stay usable
// and read as zero. loc and n must be multiples of the page size. madvise is
// only a hint here, so new pages are mapped over the old ones.
func (m *Memory) Decommit(loc Loc, n int64) {
	_, _ = unix.MmapPtr(-1, 0, pointer(m.Bytes(loc, n)), uintptr(n), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
}

// SmallPages has no effect on this system.
func (m *Memory) SmallPages(Loc, int64) {}

// HugePages has no effect on this system.
func (m *Memory) HugePages(Loc, int64) {}

// Punch has no effect on this system: there is no portable way to return a part
// of a file. It will be used again.
func (f *File) Punch(Loc, int64) {}

// seekData is no valid argument: SEEK_DATA differs between these systems.
const seekData = -1

func (f *File) fallocate(int64, int64) error { return errors.ErrUnsupported }
