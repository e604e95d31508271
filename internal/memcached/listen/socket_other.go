//go:build !unix

package listen

import (
	"io/fs"
	"net"
	"syscall"
)

// setBacklog does nothing: the system has no call for it.
func setBacklog(net.Listener, int) error { return nil }

// socketMode returns nil: the chmod after listening sets the permissions.
func socketMode(fs.FileMode) func(network, address string, c syscall.RawConn) error { return nil }
