//go:build unix

package arena

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// File is a file to be mapped, which one process at a time can have open.
type File struct {
	Memory
	f      *os.File
	refuse error // result of Allocate in a test
}

// OpenFile opens the regular file at path, and creates it if there is none. An
// error has the path in its text.
func OpenFile(path string) (*File, error) {
	// Anything else is refused before it is opened: a FIFO would block.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a %s, want a regular file", path, kindOf(info.Mode()))
	}
	o, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(o.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process", path), o.Close())
	}
	return &File{f: o}, nil
}

// kindOf names what is not a regular file.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// Map maps size bytes of the file. With fresh it is emptied before and given
// that size, without taking disk blocks; else it must have that size.
func (f *File) Map(size int64, fresh bool) error {
	if fresh {
		if err := errors.Join(f.f.Truncate(0), f.f.Truncate(size)); err != nil {
			return err
		}
	}
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if was := info.Size(); was != size {
		return fmt.Errorf("%s is %d bytes long, want %d: it was written under other settings, or is something else", f.f.Name(), was, size)
	}
	b, err := unix.Mmap(int(f.f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping %d bytes of %s: %w", size, f.f.Name(), err)
	}
	f.Memory = memoryOf(b)
	return nil
}

// Allocate makes the file system reserve blocks for n bytes at loc, in which there
// is no data. Without them a write to the mapping could raise SIGBUS. It returns
// an error if there is no space.
func (f *File) Allocate(loc Loc, n int64) error {
	if f.refuse != nil {
		return f.refuse
	}
	err := f.fallocate(int64(loc), n)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	var zeros [64 << 10]byte
	for done := int64(0); done < n; {
		k, err := f.f.WriteAt(zeros[:min(n-done, int64(len(zeros)))], int64(loc)+done)
		if err != nil {
			return err
		}
		done += int64(k)
	}
	return nil
}

// Sync returns when everything is on the medium.
func (f *File) Sync() error { return unix.Msync(f.Bytes(0, f.size), unix.MS_SYNC) }

// Close unmaps and closes the file.
func (f *File) Close() error {
	var err error
	if f.size > 0 {
		err = f.Release()
	}
	return errors.Join(err, f.f.Close())
}

// ReadAt reads from the file rather than the mapping, which does not fill its
// holes.
func (f *File) ReadAt(b []byte, at int64) (int, error) { return f.f.ReadAt(b, at) }

// NextData returns the first offset from at on that is not known to be in a hole,
// or end if that is less.
func (f *File) NextData(at, end int64) int64 {
	next, err := unix.Seek(int(f.f.Fd()), at, seekData)
	switch {
	case errors.Is(err, unix.ENXIO):
		return end
	case err != nil:
		return at // the file system does not tell
	}
	return min(next, end)
}
