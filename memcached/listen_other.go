//go:build !unix

package memcached

import (
	"io/fs"
	"net"
	"syscall"
)

// setBacklog has no means here: the system's maximum stays.
func setBacklog(net.Listener, int) error { return nil }

// socketMode has no means here: the chmod that follows is all there is.
func socketMode(fs.FileMode) func(network, address string, c syscall.RawConn) error { return nil }
