//go:build !unix

package pipeline

import "net"

// rawConn is not used on this system.
type rawConn struct {
	net.Conn
	spins int
}

func newRawConn(nc net.Conn) net.Conn { return nc }
