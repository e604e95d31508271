//go:build unix

package engine

// Raw I/O: a Stream over a socket of the system reads and writes it with
// non-blocking system calls of its own, through package rawio.
//
// A sender can so write a message itself instead of waking a goroutine, a
// waiting connection holds no buffer, and short messages do not involve the
// scheduler. Round trip of 1 octet over tcp: p99 from 40 to 27 us. The price is
// this file, and raw_other.go for systems without such calls.

import (
	"io"
	"net"
	"slices"
	"syscall"

	"lintel.dev/internal/rawio"
	"lintel.dev/internal/zmq/flow"
)

// rawConn returns the raw connection of conn, nil if it has no descriptor.
func rawConn(conn net.Conn) syscall.RawConn {
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ := c.SyscallConn()
		return raw
	case *net.UnixConn:
		raw, _ := c.SyscallConn()
		return raw
	}
	return nil
}

// rawWrite holds the argument and the results of one write. They are fields
// because a closure made for each write would be allocated.
type rawWrite struct {
	b       []byte
	n       int
	err     error
	attempt func(fd uintptr) bool
}

// tryWrite writes as much of b as the connection takes without blocking.
func (w *rawWrite) tryWrite(raw syscall.RawConn, b []byte) (int, error) {
	if w.attempt == nil {
		w.attempt = func(fd uintptr) bool {
			for {
				w.n, w.err = rawio.Send(int(fd), w.b)
				if w.err != syscall.EINTR {
					return true
				}
			}
		}
	}
	w.b = b
	err := raw.Write(w.attempt)
	w.b = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}

// rawRead holds the arguments and the results of one read.
type rawRead struct {
	into    []byte // the rest of a large frame, to be filled before buf
	beyond  bool   // what follows it is to be read too
	noWait  bool
	n       int
	err     error
	attempt func(fd uintptr) bool
}

// readRaw waits until the connection can be read. It reads into p first, if
// that is not empty, and then, with beyond or without p, into the buffer. It
// returns the sum.
func (r *reader) readRaw(p []byte, beyond bool) (int, error) {
	if r.attempt == nil {
		r.attempt = r.tryRead
	}
	r.into, r.beyond = p, beyond
	err := r.e.raw.Read(r.attempt)
	r.into = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, r.err
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// tryRead reads what there is. It reports false when that is nothing and the
// caller wants to wait.
func (r *reader) tryRead(fd uintptr) bool {
	for {
		if r.into != nil {
			r.n, r.err = readv(int(fd), r.into, r.ahead())
		} else {
			r.makeRoom()
			r.n, r.err = rawio.Recv(int(fd), r.buf[r.filled:])
		}
		switch r.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			r.shrink()
			r.streak = 0
			if r.noWait {
				r.err = ErrNothing
			}
			return r.noWait
		}
		return true
	}
}

// makeRoom makes the buffer a block, or as large as the next frame needs.
func (r *reader) makeRoom() {
	left := r.filled - r.start
	switch {
	case r.need > r.limit || left+minRead > r.limit:
		r.resize(max(r.need, left+minRead))
		r.block = false
	case !r.block:
		old := r.buf[r.start:r.filled]
		r.buf = flow.GetBlock()[:r.limit]
		copy(r.buf, old)
		r.start, r.filled, r.block = 0, left, true
	default:
		r.resize(len(r.buf))
	}
}

// shrink gives the block back before a wait. A part of a frame that is in it moves
// to a buffer of its size: thousands of peers may leave one frame half sent each.
func (r *reader) shrink() {
	switch left := r.buf[r.start:r.filled]; {
	case len(left) == 0:
		r.release()
	case r.block:
		left = slices.Clone(left)
		r.release()
		r.buf, r.filled = left, len(left)
	}
}

// release gives the block back. What is in the buffer is lost.
func (r *reader) release() {
	if r.block {
		flow.PutBlock(r.buf)
	}
	r.buf, r.start, r.filled, r.block = nil, 0, 0, false
}
