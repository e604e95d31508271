//go:build unix

package zmq

import (
	"io"
	"net"
	"syscall"

	"lintel.dev/internal/rawio"
	"lintel.dev/internal/zmq/flow"
)

// rawConn returns what tryWrite needs, nil if conn has no descriptor.
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

// tryWrite writes what the connection takes without waiting.
func (w *writer) tryWrite(b []byte) (int, error) {
	if w.attempt == nil {
		w.attempt = func(fd uintptr) bool {
			for {
				w.n, w.err = rawio.Send(int(fd), w.try)
				if w.err != syscall.EINTR {
					return true
				}
			}
		}
	}
	w.try = b
	err := w.l.raw.Write(w.attempt)
	w.try = nil
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

// readBlock waits until the connection can be read and only then takes a
// block to read into.
func (r *reader) readBlock() (int, error) {
	r.into = nil
	return r.await()
}

// readLarge reads into p, part of a large frame. If p is the last of it, and
// one call can do both, it reads what comes after it into the buffer too. It
// returns the sum.
func (r *reader) readLarge(p []byte, last bool) (int, error) {
	if r.l.raw == nil {
		n, err := r.l.conn.Read(p)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	r.into, r.beyond = p, last
	n, err := r.await()
	r.into = nil
	return n, err
}

func (r *reader) await() (int, error) {
	if r.onReadable == nil {
		r.onReadable = r.tryRead
	}
	if err := r.l.raw.Read(r.onReadable); err != nil {
		return 0, err
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.n == 0 {
		return 0, io.EOF
	}
	return r.n, nil
}

// tryRead reads what there is; it reports false when that is nothing, which
// is an error for who does not want to wait.
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
			if r.filled == r.start {
				r.release()
			}
			if r.noWait {
				r.err = errAgain
			}
			return r.noWait
		}
		return true
	}
}

// lookAhead is how much of what follows a large frame is read with it: its
// successor's header, and little that would have to be copied.
const lookAhead = 4 << 10

// ahead is where to read what follows a large frame.
func (r *reader) ahead() []byte {
	if !r.beyond || r.filled > 0 {
		return nil
	}
	r.makeRoom()
	return r.buf[:min(lookAhead, len(r.buf))]
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

// release gives the block back. What was in the buffer is lost.
func (r *reader) release() {
	if r.block {
		flow.PutBlock(r.buf)
	}
	r.buf, r.start, r.filled, r.block = nil, 0, 0, false
}
