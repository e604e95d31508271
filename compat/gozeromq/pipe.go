package zmq4

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many octets one direction of a pipe holds.
const pipeBuffer = 256 << 10

// newPipe returns the two ends of a connection in memory. Unlike net.Pipe it
// has buffers: both sides of a handshake may write first.
func newPipe(addr net.Addr) (net.Conn, net.Conn) {
	a, b := newPipeHalf(), newPipeHalf()
	return &pipeConn{addr, a, b}, &pipeConn{addr, b, a}
}

// pipeHalf is one direction of a pipe.
type pipeHalf struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	buf     []byte
	closed  bool          // by one of its ends
	changed chan struct{} // closed and replaced at every change
	read    *signal       // done at the deadline of the reader
	write   *signal       // and of the writer
}

func newPipeHalf() *pipeHalf {
	return &pipeHalf{
		changed: make(chan struct{}),
		read:    newSignal(context.Background()), write: newSignal(context.Background()),
	}
}

// change wakes both ends. The lock is held.
func (h *pipeHalf) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// wait waits for a change or the deadline. The lock is held before and after.
func (h *pipeHalf) wait(deadline *signal) {
	changed := h.changed
	h.mu.Unlock()
	select {
	case <-changed:
	case <-deadline.ctx.Done():
	}
	h.mu.Lock()
}

func (h *pipeHalf) take(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.read.ctx.Err() != nil:
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[:copy(h.buf, h.buf[n:])]
			h.change()
			return n, nil
		case h.closed:
			return 0, io.EOF
		}
		h.wait(h.read)
	}
}

func (h *pipeHalf) put(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.closed:
			return n, io.ErrClosedPipe
		case h.write.ctx.Err() != nil:
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		case len(h.buf) < pipeBuffer:
			more := min(len(p)-n, pipeBuffer-len(h.buf))
			h.buf = append(h.buf, p[n:n+more]...)
			n += more
			h.change()
			continue
		}
		h.wait(h.write)
	}
}

func (h *pipeHalf) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		h.change()
	}
}

// setDeadline replaces one of the two deadlines.
func (h *pipeHalf) setDeadline(of **signal, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	(*of).raise() // ends its timer
	if *of = newSignal(context.Background()); !t.IsZero() {
		ctx, raise := context.WithDeadline((*of).ctx, t)
		*of = &signal{ctx, raise}
	}
	h.change()
}

// pipeConn is one end of a pipe.
type pipeConn struct {
	addr    net.Addr
	in, out *pipeHalf
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.take(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.put(p) }

func (c *pipeConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.addr }
func (c *pipeConn) RemoteAddr() net.Addr { return c.addr }

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.read, t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.write, t)
	return nil
}
