//go:build linux && (amd64 || arm64) && !race

package zmq

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never wait, and they do not tell the scheduler that they are
// made: for a short message that is most of the work, and in a program that was
// idle it wakes the runtime's monitor, on the very core that the peer wants.

// recvNow is a read of what there is.
func recvNow(fd int, b []byte) (int, error) {
	return rawResult(unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0))
}

// maxSendNow is the most that is sent without telling: more takes long enough
// for the processor to be of use to somebody else.
const maxSendNow = 16 << 10

// sendNow is a write of what there is room for.
func sendNow(fd int, b []byte) (int, error) {
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
