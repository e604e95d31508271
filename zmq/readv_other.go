//go:build unix && !linux

package zmq

import "syscall"

// readv fills a with what there is.
func readv(fd int, a, _ []byte) (int, error) { return syscall.Read(fd, a) }
