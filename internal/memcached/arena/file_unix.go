//go:build unix

package arena

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// File is a mapped file, which one process at a time can have open.
type File struct {
	Memory
	f *os.File
}

// MapFile opens the regular file at path and maps size bytes of it. It creates
// the file if there is none, and gives an empty one its size, without taking
// disk blocks. fresh reports that. A file of another size is an error.
func MapFile(path string, size int64) (f *File, fresh bool, err error) {
	o, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	fail := func(err error) (*File, bool, error) { return nil, false, errors.Join(err, o.Close()) }
	if err := unix.Flock(int(o.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fail(fmt.Errorf("%s is in use by another process", path))
	}
	info, err := o.Stat()
	if err != nil {
		return fail(err)
	}
	switch was := info.Size(); was {
	case 0:
		fresh = true
		if err := o.Truncate(size); err != nil {
			return fail(err)
		}
	case size:
	default:
		return fail(fmt.Errorf("%s is %d bytes long, want %d: it was written under other settings, or is something else",
			path, was, size))
	}
	b, err := unix.Mmap(int(o.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail(fmt.Errorf("mapping %d bytes of %s: %w", size, path, err))
	}
	return &File{memoryOf(b), o}, fresh, nil
}

// Sync returns when everything is on the medium.
func (f *File) Sync() error { return unix.Msync(f.Bytes(0, f.size), unix.MS_SYNC) }

// Close unmaps and closes the file.
func (f *File) Close() error { return errors.Join(f.Release(), f.f.Close()) }

// ReadAt reads from the file rather than the mapping, which does not fill its
// holes.
func (f *File) ReadAt(b []byte, at int64) (int, error) { return f.f.ReadAt(b, at) }
