package zmq4

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"

	"lintel.dev/compat/gozeromq/transport"
)

// inproc is the transport of endpoints within the process. Its connections are
// pairs of buffers in memory.
type inproc struct {
	mu sync.Mutex
	by map[string]*inprocListener // protected by mu
}

func newInproc() *inproc { return &inproc{by: make(map[string]*inprocListener)} }

func (*inproc) Addr(ep string) (string, error) { return ep, nil }

func (t *inproc) Listen(_ context.Context, addr string) (net.Listener, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[addr] != nil {
		return nil, fmt.Errorf("inproc: %q: %w", addr, syscall.EADDRINUSE)
	}
	l := &inprocListener{t: t, addr: inprocAddr(addr), conns: make(chan net.Conn), done: make(chan struct{})}
	t.by[addr] = l
	return l, nil
}

func (t *inproc) Dial(ctx context.Context, _ transport.Dialer, addr string) (net.Conn, error) {
	t.mu.Lock()
	l := t.by[addr]
	t.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("inproc: %q: %w", addr, syscall.ECONNREFUSED)
	}
	ours, theirs := newPipe(inprocAddr(addr))
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, fmt.Errorf("inproc: %q: %w", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type inprocAddr string

func (inprocAddr) Network() string  { return "inproc" }
func (a inprocAddr) String() string { return string(a) }

type inprocListener struct {
	t     *inproc
	addr  inprocAddr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *inprocListener) Addr() net.Addr { return l.addr }

func (l *inprocListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *inprocListener) Close() error {
	l.once.Do(func() {
		l.t.mu.Lock()
		delete(l.t.by, string(l.addr))
		l.t.mu.Unlock()
		close(l.done)
	})
	return nil
}
