package arena

import "errors"

// File is a mapped file. There is none on this system.
type File struct{ Memory }

// OpenFile returns an error wrapping errors.ErrUnsupported on this system.
func OpenFile(string) (*File, error) { return nil, errors.ErrUnsupported }

// Map maps the file.
func (*File) Map(int64, bool) error { return errors.ErrUnsupported }

// Sync returns when everything is on the medium.
func (*File) Sync() error { return nil }

// Close unmaps and closes the file.
func (*File) Close() error { return nil }

// Punch returns the disk blocks behind a part of the file.
func (*File) Punch(Loc, int64) {}

// ReadAt reads from the file.
func (*File) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// NextData returns at.
func (*File) NextData(at, _ int64) int64 { return at }

// Allocate reserves blocks of the file system.
func (*File) Allocate(Loc, int64) error { return errors.ErrUnsupported }
