package zmq_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"lintel.dev/zmq"
)

// memory is a network within the process, for tests whose clock is false. Its
// connections buffer a little, as those of a kernel do.
type memory struct {
	mu    sync.Mutex
	conns chan net.Conn // nil: no listener
}

type memoryListener struct {
	m     *memory
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (m *memory) listen() net.Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = make(chan net.Conn)
	return &memoryListener{m: m, conns: m.conns, done: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		if l.m.conns == l.conns {
			l.m.conns = nil
		}
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.mu.Lock()
	conns := m.conns
	m.mu.Unlock()
	if conns == nil {
		return nil, io.ErrUnexpectedEOF
	}
	here, there := memoryPipe()
	select {
	case conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "unix" }
func (memoryAddr) String() string  { return "memory" }

// memoryConn is one end of a buffered connection.
type memoryConn struct {
	in, out *memoryHalf
}

func memoryPipe() (a, b net.Conn) {
	x, y := newMemoryHalf(), newMemoryHalf()
	return &memoryConn{x, y}, &memoryConn{y, x}
}

// memoryHalf is one direction.
type memoryHalf struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	closed  bool
	timers  [2]*time.Timer // of reading and writing
	late    [2]bool
}

const memoryBuffer = 64 << 10

func newMemoryHalf() *memoryHalf {
	h := new(memoryHalf)
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (c *memoryConn) Read(p []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			h.changed.Broadcast()
			return n, nil
		case h.closed:
			return 0, io.EOF
		case h.late[0]:
			return 0, os.ErrDeadlineExceeded
		}
		h.changed.Wait()
	}
}

func (c *memoryConn) Write(p []byte) (n int, err error) {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch {
		case h.closed:
			return n, io.ErrClosedPipe
		case h.late[1]:
			return n, os.ErrDeadlineExceeded
		}
		if k := min(len(p), memoryBuffer-len(h.buf)); k > 0 {
			h.buf = append(h.buf, p[:k]...)
			p, n = p[k:], n+k
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
	return n, nil
}

func (c *memoryConn) Close() error {
	for _, h := range []*memoryHalf{c.in, c.out} {
		h.mu.Lock()
		h.closed = true
		h.changed.Broadcast()
		h.mu.Unlock()
	}
	return c.SetDeadline(time.Time{})
}

func (h *memoryHalf) deadline(which int, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timers[which] != nil {
		h.timers[which].Stop()
		h.timers[which] = nil
	}
	h.late[which] = false
	if !t.IsZero() {
		h.timers[which] = time.AfterFunc(time.Until(t), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.late[which] = true
			h.changed.Broadcast()
		})
	}
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.deadline(0, t)
	c.out.deadline(1, t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error  { c.in.deadline(0, t); return nil }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { c.out.deadline(1, t); return nil }
func (c *memoryConn) LocalAddr() net.Addr                { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr               { return memoryAddr{} }

// join connects one socket to the other over m.
func (r rig) join(m *memory, bound, connected zmq.Socket) {
	r.Helper()
	if _, err := bound.(interface {
		BindListener(net.Listener) (*zmq.Endpoint, error)
	}).BindListener(m.listen()); err != nil {
		r.Fatal(err)
	}
	r.connect(connected, "tcp://memory:1")
}
