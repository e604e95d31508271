//go:build unix

package memcache

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"

	"lintel.dev/internal/rawio"
)

// directConn is a socket that is read and written without the scheduler being
// told of it: calls that do not wait are over before that pays. It is for one
// reader at a time, and one writer.
type directConn struct {
	net.Conn
	raw syscall.RawConn

	patience int // how often the next Read lets others run before it waits

	in      []byte // what is read into
	got     int    // and what came of it
	recvErr error
	recv    func(fd uintptr) bool // tryRecv

	out     []byte // what is left to be written
	sendErr error
	send    func(fd uintptr) bool // trySend
}

// direct returns nc as a directConn, or as it is when it is no socket.
func direct(nc net.Conn) net.Conn {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	d := &directConn{Conn: nc, raw: raw}
	d.recv, d.send = d.tryRecv, d.trySend
	return d
}

// SyscallConn gives access to the descriptor.
func (d *directConn) SyscallConn() (syscall.RawConn, error) { return d.raw, nil }

func (d *directConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d.in, d.got, d.recvErr = b, 0, nil
	err := d.raw.Read(d.recv)
	d.in, d.patience = nil, 0
	if err == nil {
		err = d.recvErr
	}
	switch {
	case err != nil:
		return 0, d.failed("read", err)
	case d.got == 0:
		return 0, io.EOF
	}
	return d.got, nil
}

func (d *directConn) tryRecv(fd uintptr) bool {
	for {
		n, err := rawio.Recv(int(fd), d.in)
		switch {
		case err == nil:
			d.got = n
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if d.patience == 0 {
				return false
			}
			d.patience--
			runtime.Gosched()
			continue
		default:
			d.recvErr = err
		}
		return true
	}
}

func (d *directConn) Write(b []byte) (int, error) {
	d.out, d.sendErr = b, nil
	err := d.raw.Write(d.send)
	n := len(b) - len(d.out)
	d.out = nil
	if err == nil {
		err = d.sendErr
	}
	if err != nil {
		return n, d.failed("write", err)
	}
	return n, nil
}

func (d *directConn) trySend(fd uintptr) bool {
	for len(d.out) > 0 {
		n, err := rawio.Send(int(fd), d.out)
		switch {
		case err == nil:
			d.out = d.out[n:]
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		default:
			d.sendErr = err
			return true
		}
	}
	return true
}

// failed words err as package net does.
func (d *directConn) failed(op string, err error) error {
	if named, ok := errors.AsType[*net.OpError](err); ok {
		err = named.Err
	}
	return &net.OpError{Op: op, Net: d.LocalAddr().Network(), Source: d.LocalAddr(), Addr: d.RemoteAddr(), Err: err}
}
