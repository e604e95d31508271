//go:build linux && (amd64 || arm64) && !race

package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv reads what has arrived at a socket. It returns EAGAIN if that is nothing.
func Recv(fd int, b []byte) (int, error) {
	return rawResult(unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0))
}

// maxRawSend bounds the octets of one raw send. More takes so long that the
// scheduler should be able to use the P for another goroutine.
const maxRawSend = 16 << 10

// Send writes what a socket has room for. It returns EAGAIN if that is nothing.
func Send(fd int, b []byte) (int, error) {
	if len(b) > maxRawSend {
		return syscall.Write(fd, b)
	}
	return rawResult(unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0))
}

func rawResult(n, _ uintptr, e syscall.Errno) (int, error) {
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
