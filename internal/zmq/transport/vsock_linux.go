package transport

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HasVSOCK reports whether this system has vsock.
const HasVSOCK = true

// fileConn is a stream socket of a family that package net does not know. The
// runtime's poller waits for it as for any other.
type fileConn struct {
	*os.File
	local, remote net.Addr
}

func (c *fileConn) LocalAddr() net.Addr  { return c.local }
func (c *fileConn) RemoteAddr() net.Addr { return c.remote }

// vsockSocket opens a socket that is registered with the runtime's poller.
func vsockSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// onDescriptor calls f with the descriptor until it has an answer: f returns
// EAGAIN to be called again once wait (Read or Write of the raw connection)
// says so.
func onDescriptor(f *os.File, wait func(syscall.RawConn, func(uintptr) bool) error, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var answer error
	if err := wait(raw, func(fd uintptr) bool {
		answer = call(int(fd))
		return answer != unix.EAGAIN
	}); err != nil {
		return err
	}
	return answer
}

func control(raw syscall.RawConn, f func(uintptr) bool) error {
	return raw.Control(func(fd uintptr) { f(fd) })
}

func vsockName(get func(int) (unix.Sockaddr, error), fd int) net.Addr {
	if sa, err := get(fd); err == nil {
		if v, ok := sa.(*unix.SockaddrVM); ok {
			return VSOCKAddr{v.CID, v.Port}
		}
	}
	return VSOCKAddr{anyCID, anyPort}
}

func dialVSOCK(ctx context.Context, a VSOCKAddr) (net.Conn, error) {
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: a.Network(), Addr: a, Err: err} }
	f, err := vsockSocket()
	if err != nil {
		return nil, fail(err)
	}
	stop := context.AfterFunc(ctx, func() { f.SetDeadline(time.Unix(1, 0)) })
	started := false
	err = onDescriptor(f, syscall.RawConn.Write, func(fd int) error {
		if !started {
			started = true
			if err := unix.Connect(fd, &unix.SockaddrVM{CID: a.CID, Port: a.Port}); err != unix.EINPROGRESS {
				return os.NewSyscallError("connect", err)
			}
			return unix.EAGAIN
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if code != 0 {
			return os.NewSyscallError("connect", syscall.Errno(code))
		}
		// The poller may call spuriously: a socket is connected if it has a peer.
		if _, err := unix.Getpeername(fd); err != nil {
			return unix.EAGAIN
		}
		return nil
	})
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		f.Close()
		return nil, fail(err)
	}
	c := &fileConn{File: f, remote: a}
	err = onDescriptor(f, control, func(fd int) error {
		c.local = vsockName(unix.Getsockname, fd)
		return nil
	})
	if err != nil {
		f.Close()
		return nil, fail(err)
	}
	return c, nil
}

// vsockListener is a listener at a vsock address.
type vsockListener struct {
	f      *os.File
	addr   net.Addr
	closed atomic.Bool
}

func listenVSOCK(a VSOCKAddr, backlog int) (net.Listener, error) {
	fail := func(err error) error { return &net.OpError{Op: "listen", Net: a.Network(), Addr: a, Err: err} }
	f, err := vsockSocket()
	if err != nil {
		return nil, fail(err)
	}
	if backlog <= 0 {
		backlog = unix.SOMAXCONN
	}
	l := &vsockListener{f: f}
	err = onDescriptor(f, control, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrVM{CID: a.CID, Port: a.Port}); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := unix.Listen(fd, backlog); err != nil {
			return os.NewSyscallError("listen", err)
		}
		l.addr = vsockName(unix.Getsockname, fd)
		return nil
	})
	if err != nil {
		f.Close()
		return nil, fail(err)
	}
	return l, nil
}

// Accept implements net.Listener.
func (l *vsockListener) Accept() (net.Conn, error) {
	var c *fileConn
	err := onDescriptor(l.f, syscall.RawConn.Read, func(fd int) error {
		nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			return unix.EAGAIN
		case unix.EAGAIN:
			return err
		default:
			return os.NewSyscallError("accept", err)
		}
		c = &fileConn{
			File:  os.NewFile(uintptr(nfd), "vsock"),
			local: vsockName(unix.Getsockname, nfd), remote: vsockName(unix.Getpeername, nfd),
		}
		return nil
	})
	if err != nil && l.closed.Load() {
		err = net.ErrClosed
	}
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
	}
	return c, nil
}

// Close implements net.Listener.
func (l *vsockListener) Close() error {
	l.closed.Store(true)
	return l.f.Close()
}

// Addr implements net.Listener.
func (l *vsockListener) Addr() net.Addr { return l.addr }
