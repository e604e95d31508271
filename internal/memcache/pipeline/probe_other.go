//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package pipeline

import "net"

// idleProbe returns nil: the reader goroutine always owns reading on this system.
func idleProbe(net.Conn) func() error { return nil }
