package epgm

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenGroup is the socket of a receiver: bound to the group itself, so that
// it takes no NAK meant for a source on the same host. (The net package binds
// any address when asked for a group's.)
func (c Config) listenGroup() (packetConn, error) {
	if c.Raw {
		return c.open(c.Group.Addr().String(), 0)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "epgm")
	defer f.Close() // FilePacketConn has its own
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(c.Group.Port()), Addr: c.Group.Addr().As4()}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return net.FilePacketConn(f)
}

// forceReadBuffer sets the buffer of a socket, as large as it may be (root, or
// CAP_NET_ADMIN).
func forceReadBuffer(c syscall.RawConn, bytes int) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	}); cerr != nil {
		return cerr
	}
	return err
}
