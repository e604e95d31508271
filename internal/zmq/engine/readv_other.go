//go:build unix && !linux

package engine

import "syscall"

func (r *reader) ahead() []byte { return nil }

// readv fills a with what there is.
func readv(fd int, a, _ []byte) (int, error) { return syscall.Read(fd, a) }
