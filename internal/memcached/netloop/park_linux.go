package netloop

import "golang.org/x/sys/unix"

// park ends a feed with Wait. in and buf are as in feed.
//
// A parked connection stays in the epoll set as it is, so that a wait during
// which nothing arrives costs no system call. The first event mutes it.
func (t *thread) park(c *conn, in, buf []byte) {
	c.keep(in)
	t.putBuffer(buf)
	if !t.flush(c) {
		return
	}
	c.flags |= parked
	if c.flags&woken != 0 {
		t.resume(c)
	}
}

// wake handles msgWake.
func (t *thread) wake(c *conn) {
	c.waking.Store(false)
	switch {
	case c.dead.Load():
	case c.flags&parked != 0:
		t.resume(c)
	default:
		c.flags |= woken
	}
}

// resume lets a parked session go on: after the other connections, or once its
// replies are written.
func (t *thread) resume(c *conn) {
	c.flags &^= parked | woken
	if t.cfg.IdleTimeout > 0 {
		c.seen = t.millis()
	}
	if c.out != nil {
		c.out.rest = rest{c: c}
		c.flags |= resumes
		return
	}
	c.flags |= queued
	t.yieldQueue = append(t.yieldQueue, rest{c: c})
}

// parkedEvent handles an epoll event of a parked connection. Input stays in the
// socket; from then on only the end of the peer's stream is reported, once.
func (t *thread) parkedEvent(c *conn, events uint32) {
	switch {
	case events&unix.EPOLLERR != 0:
		t.hangUp(c, Failed)
		return
	case events&unix.EPOLLHUP != 0:
		t.hangUp(c, Normal)
		return
	}
	ended := events&unix.EPOLLRDHUP != 0
	if c.tls != nil && events&unix.EPOLLIN != 0 {
		open, last, full := c.tls.readParked()
		if !open || !last && !full {
			return
		}
		ended = last
	}
	want := uint32(unix.EPOLLRDHUP)
	if ended {
		want = 0
	}
	c.flags |= muted
	if t.interest(c, unix.EPOLL_CTL_MOD, want) != nil || ended && !t.halfClosed(c.session) {
		t.hangUp(c, Failed)
	}
}

// unmute has input reported again. It returns false when the connection ended.
func (t *thread) unmute(c *conn) bool {
	if c.flags&muted == 0 {
		return true
	}
	c.flags &^= muted
	if t.interest(c, unix.EPOLL_CTL_MOD, unix.EPOLLIN) != nil {
		t.hangUp(c, Failed)
		return false
	}
	return true
}
