//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package memcache

import "net"

// peeker is nil: callers leave the reading to the connection's reader here.
func peeker(net.Conn) func() error { return nil }
