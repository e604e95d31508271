//go:build unix && !(linux && (amd64 || arm64) && !race)

package rawio

import "syscall"

// Recv reads what has arrived at a socket. It returns EAGAIN if that is nothing.
func Recv(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

// Send writes what a socket has room for. It returns EAGAIN if that is nothing.
func Send(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
