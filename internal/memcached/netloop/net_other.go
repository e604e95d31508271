//go:build !unix

package netloop

import (
	"errors"
	"net"
	"syscall"
)

// descriptor returns -1: descriptors are not known on this system.
func descriptor(net.Conn) int { return -1 }

// pauseFor reports whether an error of accept is temporary.
func pauseFor(err error) bool { return errors.Is(err, syscall.ECONNABORTED) }
