package netloop

import "golang.org/x/sys/unix"

// readAhead is how many connections a loop has read while it answers another. An
// item is found in two steps, each of which waits for memory, so two are enough to
// have it loaded when its turn comes.
//
// Gain and bounds: docs/decisions/0002-event-loops.md, "When to read".
const readAhead = 2

// input is what was read from a connection and not yet passed to its session.
type input struct {
	c    *conn
	buf  []byte // of the size of thread.in; exchanged with it
	n    int    // bytes in buf, with those that the session left before
	full bool   // there may be more to read
	hint Hint
}

// ahead is a queue of inputs. Every input has its buffer from the first use on.
type ahead struct {
	ring  [readAhead + 1]input
	first uint
	n     uint
}

func (a *ahead) at(i uint) *input { return &a.ring[(a.first+i)%uint(len(a.ring))] }

// readable handles input of a connection: now, or after that of the connections
// read before it if its session can prefetch.
func (t *thread) readable(c *conn) {
	if c.tls != nil {
		t.answerAll()
		c.tls.readable()
		return
	}
	p, ok := c.session.(Prefetcher)
	if !ok || c.flags&streams != 0 || t.more == 0 && t.ahead.n == 0 {
		t.answerAll()
		t.readAndFeed(c, rereads)
		return
	}
	in := t.ahead.at(t.ahead.n)
	if in.buf == nil {
		in.buf = t.getBuffer()
	}
	kept := copy(in.buf, c.in)
	n := t.receive(c, in.buf[kept:kept+readSize])
	if n <= 0 {
		return
	}
	in.c, in.n, in.full = c, kept+n, n == readSize
	in.hint = p.Prefetch(in.buf[:in.n])
	t.ahead.n++
	if n := t.ahead.n; n > 1 {
		t.prefetchRest(t.ahead.at(n - 2))
	}
	if t.ahead.n > readAhead {
		t.answer()
	}
}

// prefetchRest lets the session of in, whose connection is not closed, load what
// depends on what Prefetch has loaded.
func (t *thread) prefetchRest(in *input) { in.c.session.(Prefetcher).PrefetchRest(in.hint) }

// answer passes the oldest input read ahead to its session.
func (t *thread) answer() {
	in := t.ahead.at(0)
	c := in.c
	in.c = nil
	t.ahead.first++
	t.ahead.n--
	t.in, in.buf = in.buf, t.in
	if t.feed(c, t.in[:in.n], nil) && in.full {
		t.readAndFeed(c, rereads-1)
	}
}

// answerAll passes all input read ahead to the sessions. It comes before anything
// else that a loop does, so that nothing else finds a connection in this state.
func (t *thread) answerAll() {
	if t.ahead.n > 0 {
		t.prefetchRest(t.ahead.at(t.ahead.n - 1))
	}
	for t.ahead.n > 0 {
		t.answer()
	}
}

// receive reads what has arrived into b. It returns 0 if that is nothing or the
// connection has ended.
func (t *thread) receive(c *conn, b []byte) int {
	n, e := recv(int(c.fd), b)
	switch {
	case e == unix.EAGAIN || e == unix.EINTR:
		return 0
	case e != 0:
		t.hangUp(c, Failed)
		return 0
	case n == 0:
		t.hangUp(c, Normal)
		return 0
	}
	t.read += uint64(n)
	if now := t.seconds(); now != c.active.Load() {
		c.active.Store(now)
	}
	if t.cfg.IdleTimeout > 0 {
		c.seen = t.millis()
	}
	return n
}
