package engine

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many octets the kernel has of conn that the peer did
// not acknowledge. It is 0 for a connection that is not of tcp.
func unacknowledged(conn net.Conn) (n int) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	if err != nil {
		return 0
	}
	return n
}
