//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package memcache

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// peeker returns a function that tells, without waiting, what would be wrong
// with sending a request on an idle connection: that the peer hung up, or sent
// something that nobody asked for. It is nil for connections that cannot tell.
func peeker(nc net.Conn) func() error {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	case *directConn:
		sc = nc
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var n int
	var peekErr error
	var buf [1]byte
	look := func(fd uintptr) {
		n, _, peekErr = syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
	}
	return func() error {
		err := raw.Control(look)
		switch {
		case err != nil:
		case peekErr == nil && n > 0:
			return errUnasked
		case peekErr == nil:
			err = io.EOF
		case errors.Is(peekErr, syscall.EAGAIN), errors.Is(peekErr, syscall.EINTR):
			return nil
		default:
			err = peekErr
		}
		return fmt.Errorf("%w: %w", ErrConnLost, err)
	}
}
