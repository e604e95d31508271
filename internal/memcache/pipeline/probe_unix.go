//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package pipeline

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// idleProbe returns a function that checks an idle connection without blocking. The
// function returns an error if the server closed the connection or sent bytes that no
// request asked for. idleProbe returns nil if nc is no socket.
//
// Gain: requests that must not be sent twice, such as Increment, do not fail on a
// connection that the server closed while no goroutine was reading it (owner.go).
// Price: one recv with MSG_PEEK for each of them on an idle connection.
func idleProbe(nc net.Conn) func() error {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	case *rawConn:
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
	peek := func(fd uintptr) {
		n, _, peekErr = syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK)
	}
	return func() error {
		err := raw.Control(peek)
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
		return lost(err)
	}
}
