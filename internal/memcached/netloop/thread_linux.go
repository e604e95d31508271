package netloop

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	batch     = 128 // events a wake-up may bring
	descWait  = 100 // ms until accepting is tried again without descriptors
	keepFor   = 5   // ms for which a waiting thread keeps its processor; one that runs for 10 is preempted
	wakeEvent = -1  // datum of the eventfd; those of acceptors are below
)

// thread is one event loop. Fields without a lock belong to its goroutine.
type thread struct {
	*core
	loop   *epollLoop
	index  int
	epfd   int
	wakefd int

	events    [batch]unix.EpollEvent
	in        []byte   // MaxInput+readSize, lent to nobody between calls
	spare     [][]byte // buffers of that size
	w         Writer   // empty between connections
	iov       []unix.Iovec
	pieces    [][]byte
	turns     []turn // connections that yielded
	more      int    // events of this wake-up not yet handled
	acceptors []*acceptor
	nextLoop  int
	retryAt   int64 // when paused acceptors are tried again, by millis; 0: when told
	sweepAt   int64
	stopping  bool
	keeps     bool // the processor, while it waits no longer than keepFor

	// Counted here, published to core at the end of a wake-up.
	read, written, yielded uint64

	// mu guards what follows. conns is changed by the thread alone, so the
	// thread reads it without.
	mu    sync.Mutex
	conns []*conn
	free  []int32
	inbox []message
	gone  bool
	awake atomic.Bool // the eventfd has been written and not yet read
}

// message tells a thread what another goroutine wants of it.
type message struct {
	kind   msgKind
	conn   *conn
	listen *acceptor
	fd     int
	peer   unix.Sockaddr
}

type msgKind uint8

const (
	msgAdopt  msgKind = iota // fd is a new connection
	msgMail                  // conn has mail
	msgClose                 // conn is to be closed
	msgWake                  // conn's session is to be resumed
	msgListen                // accept from listen
	msgResume                // paused acceptors may try again
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
	t.in = t.buffer()
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

// post hands a message to the thread and wakes it; false when it has stopped.
func (t *thread) post(m message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return false
	}
	t.inbox = append(t.inbox, m)
	if t.awake.CompareAndSwap(false, true) {
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // any number but 0, whatever the byte order
		unix.Write(t.wakefd, one[:])
	}
	return true
}

// open is a copy of the table, for a walk from any goroutine.
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

// run is the thread's life.
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
		// Those that yield now get their next turn after everyone else's events.
		for n := len(t.turns); n > 0 && len(t.turns) > 0; n-- {
			next := t.turns[0]
			t.turns = slices.Delete(t.turns, 0, 1)
			t.takeTurn(next)
		}
		t.deadlines()
		t.publish()
	}
	t.finish()
}

// wait returns how many events there are. With Config.Dedicated it does not
// tell the scheduler at once that it waits, which then would take the processor
// away after some 20 us, send another thread on with the loop when there are
// events, and see to all that from a thread of its own.
func (t *thread) wait() int {
	patience := 0
	if len(t.turns) == 0 {
		patience = t.patience()
	}
	if patience == 0 || t.keeps {
		ms := patience
		if uint(ms) > keepFor { // or for ever
			ms = keepFor
		}
		n, e := epollWait(t.epfd, t.events[:], ms)
		if n > 0 || e != 0 || ms == patience {
			return waited(n, e)
		}
	}
	// Looking first without waiting would cost 220 ns whenever there is
	// nothing; telling the scheduler, 30.
	n, err := unix.EpollWait(t.epfd, t.events[:], patience)
	e, _ := err.(unix.Errno)
	t.keeps = t.cfg.Dedicated && processorToSpare()
	return waited(n, e)
}

func waited(n int, e unix.Errno) int {
	if e != 0 && e != unix.EINTR {
		panic("netloop: epoll_wait: " + e.Error())
	}
	return max(n, 0)
}

// loops counts the threads of all loops of the process.
var loops atomic.Int32

// processorToSpare reports whether other goroutines can run while every loop
// keeps its processor.
func processorToSpare() bool { return runtime.GOMAXPROCS(0) > int(loops.Load()) }

// patience is how many milliseconds the thread may sleep, -1 for ever.
func (t *thread) patience() int {
	next := t.retryAt
	if t.sweepAt != 0 && (next == 0 || t.sweepAt < next) {
		next = t.sweepAt
	}
	if next == 0 {
		return -1
	}
	return int(max(next-t.millis(), 0))
}

// deadlines closes whoever is over one, and tries paused acceptors again.
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
		case idle > 0 && now-c.seen >= idle && c.flags&(streams|turnWaits|parked) == 0:
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
	if t.written > 0 {
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
		t.openMail()
	case ev.Fd < wakeEvent:
		if i := int(wakeEvent - 1 - ev.Fd); t.acceptors[i] != nil {
			t.accept(t.acceptors[i])
		}
	default:
		c := t.conns[ev.Fd]
		switch {
		case c == nil: // closed earlier in this wake-up
		case c.out != nil:
			t.writable(c)
		case c.flags&parked != 0:
			t.parkedEvent(c, ev.Events)
		case c.flags&turnWaits == 0:
			t.readable(c)
		}
	}
}

// openMail does what other goroutines asked for.
func (t *thread) openMail() {
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
			t.adopt(m.fd, m.peer)
		case msgMail:
			if !m.conn.dead.Load() && m.conn.out == nil {
				t.collect(m.conn)
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

// adopt makes fd a connection of this thread. It has been admitted.
func (t *thread) adopt(fd int, peer unix.Sockaddr) {
	c := &conn{t: t, fd: int32(fd), peer: addrPort(peer)}
	c.active.Store(t.seconds())
	if t.cfg.IdleTimeout > 0 {
		c.seen = t.millis()
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
	c.session = t.cfg.NewSession(c)
	if t.interest(c, unix.EPOLL_CTL_ADD, unix.EPOLLIN) != nil {
		t.hangUp(c, Failed)
	}
}

func (t *thread) interest(c *conn, op int, events uint32) error {
	return unix.EpollCtl(t.epfd, op, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.slot})
}

// hangUp ends a connection, if it has not ended.
func (t *thread) hangUp(c *conn, why Reason) {
	if c.dead.Swap(true) {
		return
	}
	if m := c.mail.Load(); m != nil {
		m.mu.Lock()
		m.closed, m.b = true, nil
		m.mu.Unlock()
	}
	t.onClose(c.session, why)
	t.mu.Lock()
	t.conns[c.slot] = nil
	t.free = append(t.free, c.slot)
	unix.Close(int(c.fd)) // under mu: LocalAddr must not ask another's descriptor
	t.mu.Unlock()
	if c.out != nil {
		c.out.w.reset()
		t.giveBack(c.out.turn.buf)
		c.out = nil
	}
	c.in = nil
	t.leave()
}

// finish closes everything the thread owns.
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
			t.leave()
		case msgListen:
			unix.Close(m.listen.fd)
			m.listen.err = ErrClosed
			close(m.listen.done)
		}
	}
	t.publish()
	t.release()
}
