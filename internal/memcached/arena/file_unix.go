//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// file is the mapped file of Options.Path.
type file struct {
	f    *os.File
	base unsafe.Pointer
	size int64
}

// mapFile opens path, made size bytes long (which take no room until they are written), for this process alone. It reports
// how long the file was.
func mapFile(path string, size int64) (f *file, was int64, err error) {
	o, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	fail := func(err error) (*file, int64, error) { return nil, 0, errors.Join(err, o.Close()) }
	if err := unix.Flock(int(o.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fail(fmt.Errorf("%w: %s is in use by another process", ErrSnapshot, path))
	}
	info, err := o.Stat()
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrSnapshot, err))
	}
	if was = info.Size(); was == 0 {
		if err := o.Truncate(size); err != nil {
			return fail(fmt.Errorf("%w: %w", ErrSnapshot, err))
		}
	} else if was != size {
		return fail(fmt.Errorf("%w: %s is %d bytes long, want %d: it was written under other settings, or is something else",
			ErrSnapshot, path, was, size))
	}
	p, err := unix.MmapPtr(int(o.Fd()), 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail(fmt.Errorf("%w: mapping %d bytes of %s: %w", ErrSnapshot, size, path, err))
	}
	return &file{o, p, size}, was, nil
}

// sync waits until everything is on the medium.
func (f *file) sync() error {
	return unix.Msync(unsafe.Slice((*byte)(f.base), f.size), unix.MS_SYNC)
}

func (f *file) close() error {
	return errors.Join(unix.MunmapPtr(f.base, uintptr(f.size)), f.f.Close())
}

func (f *file) readAt(b []byte, at int64) error {
	_, err := f.f.ReadAt(b, at)
	return err
}

// bootID names the time since the machine was started: what a process that was killed left in a file is only known to be
// there as long as the machine runs. It is empty where the system has no such name.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(b)
}
