package zmq_test

import (
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// falseTime runs a test in a bubble, on a network of its own.
func falseTime(t *testing.T, f func(r rig, m *memory)) {
	synctest.Test(t, func(t *testing.T) {
		f(rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}, &memory{})
	})
}

// test_heartbeats: a peer that answers stays, however quiet it is.
func TestHeartbeatKeeps(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		beat := zmq.WithHeartbeat(time.Second, time.Second, 3*time.Second)
		pull, push := made(r, zmq.NewPull, beat), made(r, zmq.NewPush, beat, zmq.WithDialer(m.dial))
		r.join(m, pull, push)
		r.send(push, "x")
		r.want(pull, "x")
		time.Sleep(time.Hour)
		r.send(push, "y")
		r.want(pull, "y")
		if n := pull.Stats().Accepted; n != 1 {
			t.Errorf("%d connections in a quiet hour, want the first alone", n)
		}
	})
}

// test_heartbeats: a peer that does not answer is given up after the timeout.
func TestHeartbeatGivesUp(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		pull := made(r, zmq.NewPull, zmq.WithHeartbeat(time.Second, 5*time.Second, 0))
		events, stop := iter.Pull(pull.Events(r.ctx))
		defer stop()
		_, err := pull.BindListener(m.listen())
		r.must(err)
		c, err := m.dial(r.ctx, "", "")
		r.must(err)
		go io.Copy(io.Discard, c)
		_, err = io.WriteString(c, greeting(1, "NULL")+command("READY", property("Socket-Type", "PUSH")))
		r.must(err)
		next(t, events, event.HandshakeSucceeded)
		start := time.Now()
		e := next(t, events, event.Disconnected)
		if d := time.Since(start); d != 6*time.Second {
			t.Errorf("given up after %v, want 6s: one interval and the timeout", d)
		}
		if e.Err == nil || !strings.Contains(e.Err.Error(), "heartbeat") {
			t.Errorf("%v", e.Err)
		}
	})
}

// test_heartbeats: a peer says how long it may be silent.
func TestHeartbeatTTL(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		pull := made(r, zmq.NewPull)
		events, stop := iter.Pull(pull.Events(r.ctx))
		defer stop()
		_, err := pull.BindListener(m.listen())
		r.must(err)
		c, err := m.dial(r.ctx, "", "")
		r.must(err)
		go io.Copy(io.Discard, c)
		ping := command("PING", "\x00\x14") // two seconds
		_, err = io.WriteString(c, greeting(1, "NULL")+command("READY", property("Socket-Type", "PUSH"))+ping)
		r.must(err)
		time.Sleep(time.Second)
		_, err = io.WriteString(c, ping)
		r.must(err)
		start := time.Now()
		next(t, events, event.Disconnected)
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("given up after %v, want 2s", d)
		}
	})
}

// A receiver that does not read does not take the silence that follows from
// it for the peer's.
func TestHeartbeatWhileStalled(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		pull := made(r, zmq.NewPull, zmq.WithHeartbeat(time.Second, time.Second, 0), zmq.WithOption("rcvhwm", "1"))
		push := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "1"), zmq.WithDialer(m.dial))
		r.join(m, pull, push)
		body := strings.Repeat("x", 64<<10)
		const n = 20
		go func() {
			for range n {
				push.Send(r.ctx, zmq.NewMsg(body))
			}
		}()
		time.Sleep(time.Hour)
		for range n {
			r.want(pull, body)
		}
		if n := pull.Stats().Accepted; n != 1 {
			t.Errorf("%d connections, want the first alone", n)
		}
	})
}

// A peer that does not finish its handshake is given up after the timeout.
func TestHandshakeTimeout(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		pull := made(r, zmq.NewPull)
		events, stop := iter.Pull(pull.Events(r.ctx))
		defer stop()
		_, err := pull.BindListener(m.listen())
		r.must(err)
		start := time.Now()
		c, err := m.dial(r.ctx, "", "")
		r.must(err)
		io.Copy(io.Discard, c)
		next(t, events, event.HandshakeFailed)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("given up after %v, want 30s", d)
		}
	})
}

// test_reconnect_ivl: waits of once to twice the interval, or doubling up to
// the maximum.
func TestReconnectWaits(t *testing.T) {
	falseTime(t, func(r rig, m *memory) {
		push := made(r, zmq.NewPush, zmq.WithDialer(m.dial), zmq.WithReconnect(time.Second, 0), zmq.WithLinger(0))
		r.connect(push, "tcp://memory:1")
		r.send(push, "waits")
		time.Sleep(time.Minute)
		pull := made(r, zmq.NewPull)
		_, err := pull.BindListener(m.listen())
		r.must(err)
		start := time.Now()
		r.want(pull, "waits")
		if d := time.Since(start); d >= 2*time.Second {
			t.Errorf("connected %v after the peer came, want less than 2s", d)
		}
	})
	falseTime(t, func(r rig, m *memory) {
		push := made(r, zmq.NewPush, zmq.WithDialer(m.dial), zmq.WithReconnect(time.Second, 10*time.Second), zmq.WithLinger(0))
		events, stop := iter.Pull(push.Events(r.ctx))
		defer stop()
		r.connect(push, "tcp://memory:1")
		start := time.Now()
		for _, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
			e := next(t, events, event.ConnectRetried)
			if e.Interval != want*time.Second {
				t.Errorf("after %v: waits %v, want %v", time.Since(start), e.Interval, want*time.Second)
			}
		}
	})
}

// Close takes the linger time when the peer does not come, and no longer than
// it takes the peer when it does.
func TestLingerTime(t *testing.T) {
	for _, c := range []struct {
		comes, takes time.Duration
		lost         uint64
	}{{time.Hour, 5 * time.Second, 1}, {3 * time.Second, 4 * time.Second, 0}} {
		falseTime(t, func(r rig, m *memory) {
			push := made(r, zmq.NewPush, zmq.WithDialer(m.dial), zmq.WithReconnect(time.Second, 0))
			r.connect(push, "tcp://memory:1")
			r.send(push, "x")
			pull := made(r, zmq.NewPull)
			timer := time.AfterFunc(c.comes, func() {
				if _, err := pull.BindListener(m.listen()); err != nil {
					t.Error(err)
				}
			})
			defer timer.Stop()
			start := time.Now()
			r.must(push.Close())
			if d := time.Since(start); d > c.takes+time.Second || d < min(c.comes, c.takes) {
				t.Errorf("Close took %v, want about %v", d, c.takes)
			}
			if n := push.Stats().DroppedLost; n != c.lost {
				t.Errorf("%d messages lost, want %d", n, c.lost)
			}
			if c.lost == 0 {
				r.want(pull, "x")
			}
		})
	}
}
