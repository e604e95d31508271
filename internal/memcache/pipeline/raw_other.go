//go:build !unix

package memcache

import "net"

// directConn is what sockets are elsewhere.
type directConn struct {
	net.Conn
	patience int
}

func direct(nc net.Conn) net.Conn { return nc }
