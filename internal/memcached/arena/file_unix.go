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
	f *os.File
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
