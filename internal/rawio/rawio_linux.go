//go:build linux && (amd64 || arm64) && !race

package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Recv reads what there is from a socket, and is EAGAIN when that is nothing.
func Recv(fd int, b []byte) (int, error) {
	return rawResult(unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0))
}

// maxSendNow is the most that is sent without telling: more takes long enough
// for the processor to be of use to somebody else.
const maxSendNow = 16 << 10

// Send writes what a socket has room for, and is EAGAIN when that is nothing.
func Send(fd int, b []byte) (int, error) {
	if len(b) > maxSendNow {
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
