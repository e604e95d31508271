//go:build !unix

package listen

import (
	"errors"
	"io/fs"
	"net"
	"syscall"
)

// setBacklog does nothing: the system has no call for it.
func setBacklog(net.Listener, int) error { return nil }

// socketMode returns nil: the chmod after listening sets the permissions.
func socketMode(fs.FileMode) func(network, address string, c syscall.RawConn) error { return nil }

// inUse reports whether err says that an address is in use: WSAEADDRINUSE, or
// WSAEACCES for an address that another socket has for itself.
func inUse(err error) bool {
	return errors.Is(err, syscall.Errno(10048)) || errors.Is(err, syscall.Errno(10013))
}
