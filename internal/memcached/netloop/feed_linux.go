package netloop

import (
	"slices"

	"golang.org/x/sys/unix"
)

const (
	readSize   = 64 << 10 // what one read may bring
	rereads    = 8        // reads of one connection a wake-up, while each fills the buffer
	streak     = 8        // turns a connection may take in a row while no other asks
	keepInput  = 4 << 10  // leftovers up to this are copied, larger ones keep the loop's buffer
	keepWriter = 1 << 20  // the loop's reply buffer is given back above this
	maxPieces  = 512      // slices a write may gather
)

// turn is what a connection that yielded has not consumed: in its own in, or,
// if buf is set, in a buffer of the thread.
type turn struct {
	c   *conn
	buf []byte // to be given back
	in  []byte // part of buf
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
		used, step, ok := t.data(c.session, in, &t.w)
		in = in[used:]
		if !ok || t.w.Len() > t.cfg.MaxQueued || (step == NeedMore && len(in) > t.cfg.MaxInput) {
			if ok && t.w.Len() > t.cfg.MaxQueued {
				t.slowKicks.Add(1)
			}
			t.w.reset()
			t.giveBack(buf)
			t.hangUp(c, Failed)
			return false
		}
		switch step {
		case Yield:
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
		case Wait:
			t.park(c, in, buf)
			return false
		}
		return t.settle(c, in, buf, step)
	}
}

// settle ends a feed with NeedMore, Close or Stream.
func (t *thread) settle(c *conn, in, buf []byte, step Step) bool {
	if step == NeedMore {
		c.keep(in)
	} else {
		c.in = nil
	}
	t.giveBack(buf)
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
	c.flags &^= muted
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
	switch {
	case !t.flush(c):
	case c.out == nil:
		m.mu.Lock()
		tell := m.refused
		m.refused = false
		m.mu.Unlock()
		if tell {
			drained(c.session)
		}
	case c.flags&turnWaits != 0:
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
