package epgm

import (
	"net/netip"
	"syscall"
)

// shareAddress lets several sockets of a host have the same port.
func shareAddress(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

// receiveAddress is what a receiver binds: Windows binds no group address.
func receiveAddress(netip.Addr) string { return "0.0.0.0" }
