package netloop_test

import (
	"testing"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

func TestWriteTimeout(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{WriteTimeout: 20 * time.Millisecond})
		p := b.dial()
		p.send("lend 8000000\nlend 8000000\nlend 8000000\n")
		b.wantClosed(netloop.Failed) // without our reading a byte
		if n := b.loop.Stats().SlowKicks; n != 1 {
			t.Errorf("SlowKicks %d, want 1", n)
		}
	})
}

// A one-way connection may be as slow as it likes: what waits for it is bounded.
func TestSlowStream(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{WriteTimeout: 20 * time.Millisecond, SendBudget: 64 << 10})
		p := b.dial()
		p.send("stream\n")
		p.want("streaming\n")
		c := <-b.opened
		n := 0
		for c.Send(pattern[:8<<10]) { // until its peer's buffers are full, too
			n++
		}
		for range 3 { // meanwhile others are closed for being slow
			q := b.dial()
			<-b.opened
			q.send("lend 8000000\nlend 8000000\nlend 8000000\n")
			b.wantClosed(netloop.Failed)
		}
		b.await(func(s netloop.Stats) bool { return s.Open == 1 })
		if n := b.loop.Stats().SlowKicks; n != 3 {
			t.Errorf("%d closed for being slow, want 3", n)
		}
		for range n {
			p.want(string(pattern[:8<<10]))
		}
		p.Close()
		b.wantClosed(netloop.Normal)
	})
}

func (s *toy) Drained() { s.bench.drained <- struct{}{} }

// TestDrained checks that a session whose Send was refused is notified when
// there is room, and only then.
func TestDrained(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{SendBudget: 64 << 10})
		p := b.dial()
		p.send("stream\n")
		p.want("streaming\n")
		c := <-b.opened
		for range 2 {
			n := 0
			for c.Send(pattern[:8<<10]) {
				n++
			}
			for range n {
				p.want(string(pattern[:8<<10]))
			}
			<-b.drained
		}
		p.Close()
		b.wantClosed(netloop.Normal)
	})
}

func TestIdleTimeout(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{IdleTimeout: 20 * time.Millisecond})
		p := b.dial()
		p.wantEOF()
		b.wantClosed(netloop.IdleTimeout)
		if n := b.loop.Stats().IdleKicks; n != 1 {
			t.Errorf("IdleKicks %d, want 1", n)
		}
	})
}

func TestMaxConnsRejects(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{MaxConns: 2, RejectMessage: []byte("full\n")})
		p1, p2 := b.dial(), b.dial()
		for _, p := range []*peer{p1, p2} {
			p.send("echo in\n")
			p.want("in\n")
		}
		p3 := b.dial()
		p3.want("full\n")
		p3.wantEOF()
		if s := b.loop.Stats(); s.Rejected != 1 || s.Open != 2 || s.Accepted != 2 {
			t.Errorf("%+v", s)
		}
		p1.send("quit\n")
		p1.want("bye\n")
		p1.wantEOF()
		<-b.closed
		b.await(func(s netloop.Stats) bool { return s.Open == 1 })
		p4 := b.dial()
		p4.send("echo in\n")
		p4.want("in\n")
	})
}

func TestMaxConnsPauses(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{MaxConns: 1, PauseAtLimit: true})
		p1 := b.dial()
		p1.send("echo in\n")
		p1.want("in\n")
		p2 := b.dial() // waits in the backlog
		p2.send("echo next\n")
		b.await(func(s netloop.Stats) bool { return !s.Accepting })
		p1.Close()
		p2.want("next\n")
		if s := b.loop.Stats(); s.Rejected != 0 || s.Pauses == 0 || s.Accepted != 2 {
			t.Errorf("%+v", s)
		}
	})
}
