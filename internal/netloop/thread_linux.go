package netloop

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	readSize   = 64 << 10 // what one read may bring
	batch      = 128      // events a wake-up may bring
	rereads    = 8        // reads of one connection a wake-up, while each fills the buffer
	streak     = 8        // turns a connection may take in a row while no other asks
	keepInput  = 4 << 10  // leftovers up to this are copied, larger ones keep the loop's buffer
	keepWriter = 1 << 20  // the loop's reply buffer is given back above this
	maxPieces  = 512      // slices a write may gather
	descWait   = 100      // ms until accepting is tried again without descriptors
	wakeEvent  = -1       // datum of the eventfd; those of acceptors are below
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
	msgListen                // accept from listen
	msgResume                // paused acceptors may try again
	msgStop
)

// turn is what a connection that yielded has not consumed: in its own in, or,
// if buf is set, in a buffer of the thread.
type turn struct {
	c   *conn
	buf []byte // to be given back
	in  []byte // part of buf
}

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
	defer t.loop.running.Done()
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

// wait returns how many events there are. Looking without waiting first keeps
// a busy loop out of the scheduler.
func (t *thread) wait() int {
	n, e := poll(t.epfd, t.events[:])
	if n > 0 || len(t.turns) > 0 {
		return n
	}
	if e != 0 && e != unix.EINTR {
		panic("netloop: epoll_wait: " + e.Error())
	}
	n, err := unix.EpollWait(t.epfd, t.events[:], t.patience())
	if err != nil {
		return 0 // EINTR
	}
	return n
}

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
			if slow > 0 && now-c.out.since >= slow {
				t.slowKicks.Add(1)
				t.hangUp(c, Failed)
			}
		case idle > 0 && now-c.seen >= idle && c.flags&(streams|turnWaits) == 0:
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
	t.farewell(c.session, why)
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

// readable reads what there is and lets the session have it.
func (t *thread) readable(c *conn) {
	for range rereads {
		kept := copy(t.in, c.in)
		room := t.in[kept : kept+readSize]
		if c.flags&streams != 0 {
			kept, room = 0, t.in
		}
		n, e := recv(int(c.fd), room)
		switch {
		case e == unix.EAGAIN || e == unix.EINTR:
			return
		case e != 0:
			t.hangUp(c, Failed)
			return
		case n == 0:
			t.hangUp(c, Normal)
			return
		}
		t.read += uint64(n)
		c.active.Store(t.seconds())
		if t.cfg.IdleTimeout > 0 {
			c.seen = t.millis()
		}
		if c.flags&streams == 0 && !t.feed(c, t.in[:kept+n], nil) {
			return
		}
		if n < len(room) {
			return
		}
	}
}

// takeTurn goes on with a connection that yielded.
func (t *thread) takeTurn(next turn) {
	c := next.c
	if c.dead.Load() {
		t.giveBack(next.buf)
		return
	}
	c.flags &^= turnWaits
	in := next.in
	if next.buf == nil {
		in = t.in[:copy(t.in, c.in)]
	}
	t.feed(c, in, next.buf)
}

// feed calls the session until it wants more input, and writes its replies.
// in is a part of t.in, or of buf, which feed gives back. It reports whether
// the connection may be read again at once.
func (t *thread) feed(c *conn, in, buf []byte) bool {
	for turns := 0; ; turns++ {
		used, next, ok := t.data(c.session, in, &t.w)
		in = in[used:]
		if !ok || t.w.Len() > t.cfg.MaxQueued || (next == More && len(in) > t.cfg.MaxInput) {
			if ok && t.w.Len() > t.cfg.MaxQueued {
				t.slowKicks.Add(1)
			}
			t.w.reset()
			t.giveBack(buf)
			t.hangUp(c, Failed)
			return false
		}
		if next == Yield {
			t.yielded++
			alone := t.more == 0 && len(t.turns) == 0 && turns < streak
			if alone && !t.w.Full() {
				continue
			}
			if !t.flush(c) {
				t.giveBack(buf)
				return false
			}
			if alone && c.out == nil {
				continue
			}
			t.putOff(c, in, buf)
			return false
		}
		return t.settle(c, in, buf, next)
	}
}

// settle ends a feed with anything but Yield.
func (t *thread) settle(c *conn, in, buf []byte, next Next) bool {
	if next == More {
		c.keep(in)
	} else {
		c.in = nil
	}
	t.giveBack(buf)
	if !t.flush(c) {
		return false
	}
	switch next {
	case Close:
		if c.out == nil {
			t.hangUp(c, Normal)
			return false
		}
		c.flags |= closes
	case Stream:
		c.flags |= streams
	}
	return c.out == nil
}

// keep copies what a session left unconsumed.
func (c *conn) keep(in []byte) {
	switch {
	case len(in) > 0:
		c.in = append(c.in[:0], in...)
	case cap(c.in) > 512: // an idle connection should cost little
		c.in = nil
	default:
		c.in = c.in[:0]
	}
}

// putOff gives c another turn: after the others', or once its replies are
// gone.
func (t *thread) putOff(c *conn, in, buf []byte) {
	next := turn{c: c, buf: buf, in: in}
	switch {
	case len(in) <= keepInput:
		c.keep(in)
		t.giveBack(buf)
		next.buf, next.in = nil, nil
	case buf == nil:
		c.in = nil
		next.buf = t.in
		t.in = t.buffer()
	}
	if c.out != nil {
		c.out.turn = next
		c.flags |= resumes
		return
	}
	t.turns = append(t.turns, next)
	c.flags |= turnWaits
}

// buffer takes a spare input buffer, or makes one.
func (t *thread) buffer() []byte {
	if n := len(t.spare); n > 0 {
		b := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return b
	}
	return make([]byte, t.cfg.MaxInput+readSize)
}

func (t *thread) giveBack(buf []byte) {
	if buf != nil && len(t.spare) < 8 {
		t.spare = append(t.spare, buf)
	}
}

// flush writes t.w to c and leaves it empty; what the kernel does not take
// goes to c.out. False when the connection ended.
func (t *thread) flush(c *conn) bool {
	total := t.w.Len()
	if total == 0 {
		t.w.reset() // empty references want their release, too
		return true
	}
	n, e := t.write(c, &t.w, 0)
	if n == total {
		t.w.reset()
		if cap(t.w.B) > keepWriter {
			t.w.B = nil
		}
		return true
	}
	if e != 0 && e != unix.EAGAIN {
		t.w.reset()
		t.hangUp(c, Failed)
		return false
	}
	c.out = &outbox{w: t.w, written: n, since: t.millis()}
	t.w = Writer{soft: t.cfg.SoftQueued}
	if t.interest(c, unix.EPOLL_CTL_MOD, unix.EPOLLOUT) != nil {
		t.hangUp(c, Failed)
		return false
	}
	return true
}

// write sends w from its byte skip on, in one call if it has few pieces. It
// returns an error only where it wrote nothing.
func (t *thread) write(c *conn, w *Writer, skip int) (int, unix.Errno) {
	if len(w.refs) == 0 {
		n, e := send(int(c.fd), w.B[skip:])
		t.written += uint64(n)
		return n, e
	}
	total := 0
	for {
		t.pieces = w.pieces(t.pieces[:0], skip+total, maxPieces)
		if len(t.pieces) == 0 {
			return total, 0
		}
		t.iov = t.iov[:0]
		asked := 0
		for _, p := range t.pieces {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			t.iov = append(t.iov, v)
			asked += len(p)
		}
		n, e := sendv(int(c.fd), t.iov)
		clear(t.iov)
		clear(t.pieces)
		if e != 0 {
			if total > 0 {
				e = 0
			}
			return total, e
		}
		t.written += uint64(n)
		total += n
		if n < asked {
			return total, 0
		}
	}
}

// writable sends on what the kernel did not take before.
func (t *thread) writable(c *conn) {
	o := c.out
	n, e := t.write(c, &o.w, o.written)
	if e != 0 && e != unix.EAGAIN {
		t.hangUp(c, Failed)
		return
	}
	if n > 0 {
		o.written += n
		o.since = t.millis()
	}
	if o.written < o.w.Len() {
		return
	}
	o.w.reset()
	c.out = nil
	if c.flags&closes != 0 {
		t.hangUp(c, Normal)
		return
	}
	if t.interest(c, unix.EPOLL_CTL_MOD, unix.EPOLLIN) != nil {
		t.giveBack(o.turn.buf)
		t.hangUp(c, Failed)
		return
	}
	if c.flags&resumes != 0 {
		c.flags = c.flags&^resumes | turnWaits
		t.turns = append(t.turns, o.turn)
	}
	t.collect(c)
}

// collect writes what Send queued. c.out must be nil.
func (t *thread) collect(c *conn) {
	m := c.mail.Load()
	if m == nil {
		return
	}
	m.mu.Lock()
	t.w.B = append(t.w.B, m.b...)
	m.b = m.b[:0]
	m.posted = false
	m.mu.Unlock()
	if t.flush(c) && c.out != nil && c.flags&turnWaits != 0 {
		t.recall(c)
	}
}

// recall moves a turn from the queue to where it waits for c.out.
func (t *thread) recall(c *conn) {
	for i, next := range t.turns {
		if next.c == c {
			t.turns = slices.Delete(t.turns, i, i+1)
			c.out.turn = next
			c.flags = c.flags&^turnWaits | resumes
			return
		}
	}
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
