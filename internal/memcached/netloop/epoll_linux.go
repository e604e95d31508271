package netloop

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// New returns a Loop. On Linux it serves TCP and unix sockets by epoll loops and
// all other connections by a goroutine each. On other systems it is NewNet.
func New(cfg Config) (Loop, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := newCore(cfg)
	return &epollLoop{core: c, other: newNetLoop(c)}, nil
}

// epollLoop distributes listeners and connections over its event loops.
type epollLoop struct {
	*core
	other   *netLoop // serves connections that are neither TCP nor unix sockets
	running sync.WaitGroup

	// tmu guards what follows.
	tmu      sync.Mutex
	threads  []*thread // started by the first Serve or Adopt
	next     int       // index of the one that gets the next listener or adopted connection
	shutting bool
}

var _ Loop = (*epollLoop)(nil)

func (l *epollLoop) Serve(ln net.Listener) error {
	outer := ln
	var config *tls.Config
	if t, ok := ln.(TLSListener); ok {
		ln, config = t.Plain(), t.Config()
	}
	switch ln.(type) {
	case *net.TCPListener, *net.UnixListener:
	default:
		return l.other.Serve(outer)
	}
	defer ln.Close()
	fd, err := duplicate(ln.(syscall.Conn))
	if err != nil {
		return fmt.Errorf("netloop: %s: %w", ln.Addr(), err)
	}
	_, tcp := ln.(*net.TCPListener)
	a := &acceptor{fd: fd, tcp: tcp, config: config, done: make(chan struct{})}

	l.tmu.Lock()
	t, err := l.nextThread()
	l.tmu.Unlock()
	if err != nil {
		unix.Close(fd)
		return err
	}
	if !t.post(message{kind: msgListen, listen: a}) {
		unix.Close(fd)
		return ErrClosed
	}
	<-a.done
	return a.err
}

func (l *epollLoop) Adopt(nc net.Conn) error {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return l.other.Adopt(nc)
	}
	defer nc.Close()
	fd, err := duplicate(nc.(syscall.Conn))
	if err != nil {
		return fmt.Errorf("netloop: %s: %w", nc.RemoteAddr(), err)
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("netloop: %w", err)
	}
	l.tmu.Lock()
	t, err := l.nextThread()
	l.tmu.Unlock()
	if err != nil {
		unix.Close(fd)
		return err
	}
	l.adopted()
	if !t.post(message{kind: msgAdopt, fd: fd, peer: peer}) {
		unix.Close(fd)
		l.ended()
		return ErrClosed
	}
	return nil
}

// duplicate returns a descriptor that the loop owns.
func duplicate(sc syscall.Conn) (int, error) {
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	var derr error
	if err := rc.Control(func(fd uintptr) {
		dup, derr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return dup, derr
}

// nextThread returns the event loop for the next listener or adopted connection.
// The caller holds l.tmu.
func (l *epollLoop) nextThread() (*thread, error) {
	if l.shutting {
		return nil, ErrClosed
	}
	if l.threads == nil {
		threads := make([]*thread, l.cfg.Threads)
		for i := range threads {
			t, err := newThread(l, i)
			if err != nil {
				for _, t := range threads[:i] {
					t.release()
				}
				return nil, fmt.Errorf("netloop: epoll: %w", err)
			}
			threads[i] = t
		}
		l.threads = threads
		for _, t := range threads {
			l.running.Add(1)
			go t.run()
		}
	}
	t := l.threads[l.next%len(l.threads)]
	l.next++
	return t, nil
}

func (l *epollLoop) Shutdown(ctx context.Context) error {
	l.tmu.Lock()
	l.shutting = true
	threads := l.threads
	l.tmu.Unlock()
	for _, t := range threads {
		t.post(message{kind: msgStop})
	}
	if err := l.other.Shutdown(ctx); err != nil {
		return err
	}
	return await(ctx, &l.running)
}

func (l *epollLoop) Conns() iter.Seq[Conn] {
	return func(yield func(Conn) bool) {
		l.tmu.Lock()
		threads := l.threads
		l.tmu.Unlock()
		for _, t := range threads {
			for _, c := range t.open() {
				if c.tls != nil && !c.tls.ready.Load() {
					continue
				}
				if !yield(c) {
					return
				}
			}
		}
		for c := range l.other.Conns() {
			if !yield(c) {
				return
			}
		}
	}
}

// Stats are those of core, which both drivers share, and of the open
// connections of other.
func (l *epollLoop) Stats() Stats { return l.other.Stats() }

// acceptor is a listening socket in the epoll set of a loop, which owns its
// fields. err is set before done is closed.
type acceptor struct {
	fd     int
	tcp    bool
	config *tls.Config // nil without TLS
	paused bool
	done   chan struct{}
	err    error
}
