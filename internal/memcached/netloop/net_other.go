//go:build !unix

package netloop

import (
	"errors"
	"net"
	"syscall"
)

// descriptor is the file descriptor of nc, or -1: here nothing is known of it.
func descriptor(net.Conn) int { return -1 }

// pauseFor tells an error of accept that passes from one that ends the
// listener.
func pauseFor(err error) bool { return errors.Is(err, syscall.ECONNABORTED) }
