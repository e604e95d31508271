package netloop

import (
	"slices"

	"golang.org/x/sys/unix"
)

const (
	readSize   = 64 << 10 // most bytes of one read
	rereads    = 8        // most reads of one connection in a row, while each fills the buffer
	maxStreak  = 8        // most yields in a row without a wait, while no other connection is ready
	keepInput  = 4 << 10  // unconsumed input up to this is copied; more keeps the loop's buffer
	keepWriter = 1 << 20  // larger reply buffers are freed after use
	maxPieces  = 512      // most slices of one write
)

// rest is the input that a connection that yielded has not consumed. It is in
// the connection's in or, if buf is set, in a buffer of the loop.
type rest struct {
	c   *conn
	buf []byte // returned by putBuffer
	in  []byte // part of buf
}

// readAndFeed reads what has arrived, at most limit times, and passes it to the
// session.
func (t *thread) readAndFeed(c *conn, limit int) {
	for range limit {
		kept := copy(t.in, c.in)
		room := t.in[kept : kept+readSize]
		if c.flags&streams != 0 {
			kept, room = 0, t.in
		}
		n := t.receive(c, room)
		if n == 0 || c.flags&streams == 0 && !t.feed(c, t.in[:kept+n], nil) || n < len(room) {
			return
		}
	}
}

// resumeQueued calls the session of a connection that yielded.
func (t *thread) resumeQueued(next rest) {
	c := next.c
	if c.dead.Load() {
		t.putBuffer(next.buf)
		return
	}
	c.flags &^= queued
	in := next.in
	if next.buf == nil {
		in = t.in[:copy(t.in, c.in)]
	}
	if t.feed(c, in, next.buf) && c.tls != nil {
		c.tls.readable()
	}
}

// feed calls the session until it needs more input, and writes its replies. in
// is a part of t.in, or of buf, which feed passes to putBuffer. feed reports
// whether the connection may be read again at once.
func (t *thread) feed(c *conn, in, buf []byte) bool {
	for turns := 0; ; turns++ {
		used, step, ok := t.data(c.session, in, &t.w)
		in = in[used:]
		if !ok || t.w.Len() > t.cfg.MaxQueued || (step == NeedMore && len(in) > t.cfg.MaxInput) {
			if ok && t.w.Len() > t.cfg.MaxQueued {
				t.slowKicks.Add(1)
			}
			t.w.reset()
			t.putBuffer(buf)
			t.hangUp(c, Failed)
			return false
		}
		switch step {
		case Yield:
			t.yielded++
			alone := t.more == 0 && t.ahead.n == 0 && len(t.yieldQueue) == 0 && turns < maxStreak
			if alone && !t.w.Full() {
				continue
			}
			if !t.flush(c) {
				t.putBuffer(buf)
				return false
			}
			if alone && c.out == nil {
				continue
			}
			t.yield(c, in, buf)
			return false
		case Wait:
			t.park(c, in, buf)
			return false
		}
		return t.endFeed(c, in, buf, step)
	}
}

// endFeed ends a feed with NeedMore, Close or Stream.
func (t *thread) endFeed(c *conn, in, buf []byte, step Step) bool {
	if step == NeedMore {
		c.keep(in)
	} else {
		c.in = nil
	}
	t.putBuffer(buf)
	if !t.flush(c) {
		return false
	}
	switch step {
	case Close:
		if c.out == nil {
			t.hangUp(c, Normal)
			return false
		}
		c.flags |= closes
	case Stream:
		c.flags |= streams
	}
	return c.out == nil && t.unmute(c)
}

// keep copies the input that a session left unconsumed.
func (c *conn) keep(in []byte) {
	switch {
	case len(in) > 0:
		c.in = append(c.in[:0], in...)
	case cap(c.in) > 512: // idle connections hold little memory
		c.in = nil
	default:
		c.in = c.in[:0]
	}
}

// yield queues c to be resumed after the other connections, or once its replies
// are written.
func (t *thread) yield(c *conn, in, buf []byte) {
	next := rest{c: c, buf: buf, in: in}
	switch {
	case len(in) <= keepInput:
		c.keep(in)
		t.putBuffer(buf)
		next.buf, next.in = nil, nil
	case buf == nil:
		c.in = nil
		next.buf = t.in
		t.in = t.getBuffer()
	}
	if c.out != nil {
		c.out.rest = next
		c.flags |= resumes
		return
	}
	t.yieldQueue = append(t.yieldQueue, next)
	c.flags |= queued
}

// getBuffer returns a read buffer.
func (t *thread) getBuffer() []byte {
	if n := len(t.spare); n > 0 {
		b := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return b
	}
	return make([]byte, t.cfg.MaxInput+readSize)
}

func (t *thread) putBuffer(buf []byte) {
	if buf != nil && len(t.spare) < 8 {
		t.spare = append(t.spare, buf)
	}
}

// flush writes t.w to c and empties it. What the kernel does not take goes to
// c.out. flush returns false if the connection ended.
func (t *thread) flush(c *conn) bool {
	if c.tls != nil && !c.tls.seal() {
		t.w.reset()
		t.hangUp(c, Failed)
		return false
	}
	total := t.w.Len()
	if total == 0 {
		t.w.reset() // releases empty references
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
	c.flags &^= muted
	if t.interest(c, unix.EPOLL_CTL_MOD, unix.EPOLLOUT) != nil {
		t.hangUp(c, Failed)
		return false
	}
	return true
}

// write sends w without its first skip bytes, in one system call for up to
// maxPieces slices. It returns an error only if it wrote nothing.
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

// writable sends what the kernel did not take before.
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
		t.putBuffer(o.rest.buf)
		t.hangUp(c, Failed)
		return
	}
	if c.flags&resumes != 0 {
		c.flags = c.flags&^resumes | queued
		t.yieldQueue = append(t.yieldQueue, o.rest)
	}
	t.sendQueued(c)
	if c.tls != nil && c.tls.pending && c.out == nil && c.flags&(queued|parked) == 0 && !c.dead.Load() {
		c.tls.readable()
	}
}

// sendQueued writes what Send queued. c.out is nil.
func (t *thread) sendQueued(c *conn) {
	m := c.sends.Load()
	if m == nil {
		return
	}
	m.mu.Lock()
	t.w.B = append(t.w.B, m.b...)
	m.b = m.b[:0]
	m.posted = false
	m.mu.Unlock()
	switch {
	case !t.flush(c):
	case c.out == nil:
		m.mu.Lock()
		notify := m.refused
		m.refused = false
		m.mu.Unlock()
		if notify {
			drained(c.session)
		}
	case c.flags&queued != 0:
		t.moveToOutbox(c)
	}
}

// moveToOutbox has c resumed when c.out is empty, instead of in the yield queue's
// order.
func (t *thread) moveToOutbox(c *conn) {
	for i, next := range t.yieldQueue {
		if next.c == c {
			t.yieldQueue = slices.Delete(t.yieldQueue, i, i+1)
			c.out.rest = next
			c.flags = c.flags&^queued | resumes
			return
		}
	}
}
