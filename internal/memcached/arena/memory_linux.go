package arena

import "golang.org/x/sys/unix"

// Decommit returns the pages of n bytes at loc to the system. They stay usable
// and read as zero. loc and n must be multiples of the page size.
func (m *Memory) Decommit(loc Loc, n int64) {
	_ = unix.Madvise(m.Bytes(loc, n), unix.MADV_DONTNEED)
}

// SmallPages keeps the kernel from backing sparsely used memory with huge
// pages, which are resident as a whole.
func (m *Memory) SmallPages(loc Loc, n int64) {
	_ = unix.Madvise(m.Bytes(loc, n), unix.MADV_NOHUGEPAGE)
}

// HugePages asks the kernel to back densely used memory with huge pages. A
// look-up in a large store then spends a quarter less time: most of that was
// address translation.
func (m *Memory) HugePages(loc Loc, n int64) {
	_ = unix.Madvise(m.Bytes(loc, n), unix.MADV_HUGEPAGE)
}

// Punch returns the memory or disk blocks behind a part of the file, which then
// reads as zero.
func (f *File) Punch(loc Loc, n int64) {
	_ = unix.Madvise(f.Bytes(loc, n), unix.MADV_REMOVE)
}

const seekData = unix.SEEK_DATA

func (f *File) fallocate(at, n int64) error {
	for {
		if err := unix.Fallocate(int(f.f.Fd()), 0, at, n); err != unix.EINTR {
			return err
		}
	}
}
