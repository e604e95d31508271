package netloop

import (
	"crypto/tls"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	batch    = 128 // most events of one epoll_wait
	descWait = 100 // ms between attempts to accept without free descriptors
	holdFor  = 5   // ms for which a waiting loop keeps its P; after 10 it would be preempted
	// wakeEvent is the data of the eventfd's events. Those of acceptors are below.
	wakeEvent = -1
)

// thread is an event loop. Fields without a lock belong to its goroutine.
type thread struct {
	*core
	loop   *epollLoop
	index  int
	epfd   int
	wakefd int

	events     [batch]unix.EpollEvent
	in         []byte   // read buffer of MaxInput+readSize bytes
	spare      [][]byte // more of them
	w          Writer   // empty between connections
	tls        tlsBuffers
	iov        []unix.Iovec
	pieces     [][]byte
	yieldQueue []rest // connections that yielded, to be resumed
	more       int    // events of this batch not yet handled
	ahead      ahead
	acceptors  []*acceptor
	nextLoop   int
	retryAt    int64 // when paused acceptors try again, by millis; 0: on msgResume
	sweepAt    int64
	stopping   bool
	holdsP     bool // the next wait keeps the P, for holdFor at most

	// Counted here and added to core at the end of a batch.
	read, written, yielded uint64

	// mu guards what follows. Only the loop changes conns, so the loop reads it
	// without mu.
	mu    sync.Mutex
	conns []*conn
	free  []int32
	inbox []message
	gone  bool
	awake atomic.Bool // the eventfd has been written and not yet read
}

// message is a request of another goroutine to a loop.
type message struct {
	kind   msgKind
	conn   *conn
	listen *acceptor
	fd     int
	peer   unix.Sockaddr
	config *tls.Config // of a new connection with TLS
}

type msgKind uint8

const (
	msgAdopt   msgKind = iota // fd is a new connection
	msgSecured                // the TLS handshake of conn has ended
	msgSend                   // conn has something in its sendQueue
	msgClose                  // conn is to be closed
	msgWake                   // conn's session is to be resumed
	msgListen                 // accept from listen
	msgResume                 // paused acceptors may try again
	msgStop
)

func newThread(l *epollLoop, index int) (*thread, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, err
	}
	t := &thread{core: l.core, loop: l, index: index, epfd: epfd, wakefd: wakefd, nextLoop: index}
	t.w.soft = t.cfg.SoftQueued
	t.in = t.getBuffer()
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wakefd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeEvent}); err != nil {
		t.release()
		return nil, err
	}
	return t, nil
}

func (t *thread) release() {
	unix.Close(t.wakefd)
	unix.Close(t.epfd)
}

// post puts a message in the inbox and wakes the loop. It returns false if the
// loop has stopped.
func (t *thread) post(m message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return false
	}
	t.inbox = append(t.inbox, m)
	if t.awake.CompareAndSwap(false, true) {
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // not 0 in either byte order
		unix.Write(t.wakefd, one[:])
	}
	return true
}

// open returns the open connections. Any goroutine may call it.
func (t *thread) open() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := make([]*conn, 0, len(t.conns)-len(t.free))
	for _, c := range t.conns {
		if c != nil {
			open = append(open, c)
		}
	}
	return open
}

// run serves the loop until msgStop.
func (t *thread) run() {
	loops.Add(1)
	defer func() {
		loops.Add(-1)
		t.loop.running.Done()
	}()
	for !t.stopping {
		n := t.wait()
		for i := range n {
			t.more = n - i - 1
			t.handle(&t.events[i])
		}
		t.answerAll()
		// Connections that yield again are resumed after the next events.
		for n := len(t.yieldQueue); n > 0 && len(t.yieldQueue) > 0; n-- {
			next := t.yieldQueue[0]
			t.yieldQueue = slices.Delete(t.yieldQueue, 0, 1)
			t.resumeQueued(next)
		}
		t.deadlines()
		t.publish()
	}
	t.finish()
}

// wait waits for events and returns their number. With Config.Dedicated it first
// waits without announcing the system call to the scheduler. Else the scheduler
// would take the P away after 20 µs, and hand the loop to another thread
// when events arrive. Gain and cost: docs/decisions/0002-event-loops.md, Waiting.
func (t *thread) wait() int {
	timeout := 0
	if len(t.yieldQueue) == 0 {
		timeout = t.timeout()
	}
	if timeout == 0 || t.holdsP {
		ms := timeout
		if uint(ms) > holdFor { // also if it is -1
			ms = holdFor
		}
		n, e := epollWait(t.epfd, t.events[:], ms)
		if n > 0 || e != 0 || ms == timeout {
			return waited(n, e)
		}
	}
	// Polling first would cost 220 ns when there is nothing; announcing costs 30.
	n, err := unix.EpollWait(t.epfd, t.events[:], timeout)
	e, _ := err.(unix.Errno)
	t.holdsP = t.cfg.Dedicated && spareProcessor()
	return waited(n, e)
}

func waited(n int, e unix.Errno) int {
	if e != 0 && e != unix.EINTR {
		panic("netloop: epoll_wait: " + e.Error())
	}
	return max(n, 0)
}

// loops is the number of event loops of the process.
var loops atomic.Int32

// spareProcessor reports whether other goroutines can run while every event loop
// keeps its P.
func spareProcessor() bool { return runtime.GOMAXPROCS(0) > int(loops.Load()) }

// timeout returns how many milliseconds the loop may wait, -1 for no limit.
func (t *thread) timeout() int {
	next := t.retryAt
	if t.sweepAt != 0 && (next == 0 || t.sweepAt < next) {
		next = t.sweepAt
	}
	if next == 0 {
		return -1
	}
	return int(max(next-t.millis(), 0))
}

// deadlines closes connections that are past a timeout, and has paused acceptors
// try again when it is time.
func (t *thread) deadlines() {
	if t.tick == 0 && t.retryAt == 0 {
		return
	}
	now := t.millis()
	if t.retryAt != 0 && now >= t.retryAt {
		t.resumeAccepting()
	}
	if t.sweepAt == 0 || now < t.sweepAt {
		if t.sweepAt == 0 && t.tick > 0 && len(t.conns) > len(t.free) {
			t.sweepAt = now + t.tick.Milliseconds()
		}
		return
	}
	t.sweepAt = 0
	if len(t.conns) > len(t.free) {
		t.sweepAt = now + t.tick.Milliseconds()
	}
	idle, slow := t.cfg.IdleTimeout.Milliseconds(), t.cfg.WriteTimeout.Milliseconds()
	for _, c := range t.conns {
		switch {
		case c == nil:
		case c.out != nil:
			if slow > 0 && now-c.out.since >= slow && c.flags&streams == 0 {
				t.slowKicks.Add(1)
				t.hangUp(c, Failed)
			}
		case idle > 0 && now-c.seen >= idle && c.session != nil && c.flags&(streams|queued|parked) == 0:
			t.idleKicks.Add(1)
			t.hangUp(c, IdleTimeout)
		}
	}
}

func (t *thread) publish() {
	if t.read > 0 {
		t.bytesRead.Add(t.read)
		t.read = 0
	}
	if t.written != 0 {
		t.bytesWritten.Add(t.written)
		t.written = 0
	}
	if t.yielded > 0 {
		t.yields.Add(t.yielded)
		t.yielded = 0
	}
}

func (t *thread) handle(ev *unix.EpollEvent) {
	switch {
	case ev.Fd == wakeEvent:
		t.answerAll()
		t.readInbox()
	case ev.Fd < wakeEvent:
		t.answerAll()
		if i := int(wakeEvent - 1 - ev.Fd); t.acceptors[i] != nil {
			t.accept(t.acceptors[i])
		}
	default:
		c := t.conns[ev.Fd]
		switch {
		case c == nil: // closed earlier in this wake-up
		case c.out != nil:
			t.answerAll()
			t.writable(c)
		case c.flags&parked != 0:
			t.answerAll()
			t.parkedEvent(c, ev.Events)
		case c.flags&queued == 0:
			t.readable(c)
		}
	}
}

// readInbox handles the messages in the inbox.
func (t *thread) readInbox() {
	var drain [8]byte
	t.mu.Lock()
	unix.Read(t.wakefd, drain[:])
	t.awake.Store(false)
	inbox := t.inbox
	t.inbox = nil
	t.mu.Unlock()
	for _, m := range inbox {
		switch m.kind {
		case msgAdopt:
			t.adopt(m.fd, m.peer, m.config)
		case msgSecured:
			m.conn.tls.handshaken()
		case msgSend:
			if !m.conn.dead.Load() && m.conn.out == nil {
				t.sendQueued(m.conn)
			}
		case msgClose:
			t.hangUp(m.conn, Reason(m.conn.why.Load()-1))
		case msgWake:
			t.wake(m.conn)
		case msgListen:
			t.listen(m.listen)
		case msgResume:
			t.resumeAccepting()
		case msgStop:
			t.stopping = true
		}
	}
}

// adopt makes fd a connection of this loop. It has been counted.
func (t *thread) adopt(fd int, peer unix.Sockaddr, config *tls.Config) {
	c := &conn{t: t, fd: int32(fd), peer: addrPort(peer)}
	c.active.Store(t.seconds())
	if t.cfg.IdleTimeout > 0 {
		c.seen = t.millis()
	}
	if config != nil {
		c.tls = newSecured(c, config)
	}
	t.mu.Lock()
	if n := len(t.free); n > 0 {
		c.slot = t.free[n-1]
		t.free = t.free[:n-1]
		t.conns[c.slot] = c
	} else {
		c.slot = int32(len(t.conns))
		t.conns = append(t.conns, c)
	}
	t.mu.Unlock()
	if config == nil {
		c.session = t.cfg.NewSession(c)
	}
	if t.interest(c, unix.EPOLL_CTL_ADD, unix.EPOLLIN) != nil {
		t.hangUp(c, Failed)
	}
}

func (t *thread) interest(c *conn, op int, events uint32) error {
	return unix.EpollCtl(t.epfd, op, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.slot})
}

// hangUp closes a connection unless it is closed.
func (t *thread) hangUp(c *conn, why Reason) {
	if c.dead.Swap(true) {
		return
	}
	if m := c.sends.Load(); m != nil {
		m.mu.Lock()
		m.closed, m.b = true, nil
		m.mu.Unlock()
	}
	if c.session != nil {
		t.onClose(c.session, why)
	}
	if c.tls != nil {
		c.tls.hangUp(why)
	}
	t.mu.Lock()
	t.conns[c.slot] = nil
	t.free = append(t.free, c.slot)
	unix.Close(int(c.fd)) // with mu held, so that LocalAddr does not use a reused descriptor
	t.mu.Unlock()
	if c.out != nil {
		c.out.w.reset()
		t.putBuffer(c.out.rest.buf)
		c.out = nil
	}
	c.in = nil
	t.ended()
}

// finish closes everything that the loop owns.
func (t *thread) finish() {
	for _, a := range t.acceptors {
		if a != nil {
			t.endAccepting(a, ErrClosed)
		}
	}
	for _, c := range t.open() {
		t.hangUp(c, Shutdown)
	}
	t.mu.Lock()
	t.gone = true
	left := t.inbox
	t.inbox = nil
	t.mu.Unlock()
	for _, m := range left {
		switch m.kind {
		case msgAdopt:
			unix.Close(m.fd)
			t.ended()
		case msgListen:
			unix.Close(m.listen.fd)
			m.listen.err = ErrClosed
			close(m.listen.done)
		}
	}
	t.publish()
	t.release()
}
