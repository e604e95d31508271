//go:build unix

package listen

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setBacklog bounds how many connections wait to be accepted on l.
func setBacklog(l net.Listener, backlog int) error {
	sc, ok := l.(syscall.Conn)
	if !ok || backlog == 0 {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var lerr error
	// Package net has called listen with the system's maximum. A second call
	// only changes the bound.
	if err := rc.Control(func(fd uintptr) { lerr = unix.Listen(int(fd), backlog) }); err != nil {
		return err
	}
	return lerr
}

// socketMode sets the permissions of a unix socket before it is bound, so that
// others can never connect. Systems that ignore it rely on the chmod after
// listening.
func socketMode(mode fs.FileMode) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), uint32(mode.Perm())) })
	}
}

// inUse reports whether err says that an address is in use.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
