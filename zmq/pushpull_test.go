package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// nothing checks that no message comes without waiting for one.
func (r rig) nothing(s zmq.Receiver) {
	r.Helper()
	if m, err := s.TryRecv(); !errors.Is(err, zmq.ErrWouldBlock) {
		r.Fatalf("%v: received %q, %v, want nothing", s, m, err)
	}
}

// refused checks that a message cannot be sent without waiting.
func (r rig) refused(s zmq.Sender, frames ...string) {
	r.Helper()
	if err := s.TrySend(zmq.NewMsg(frames...)); !errors.Is(err, zmq.ErrWouldBlock) {
		r.Fatalf("%v: TrySend: %v, want ErrWouldBlock", s, err)
	}
}

// ready waits until a socket has n peers that are connected.
func (r rig) ready(s zmq.Socket, n int) {
	r.Helper()
	r.until(func() bool {
		got := 0
		for _, p := range s.Stats().Peers {
			if p.Connected {
				got++
			}
		}
		return got >= n
	})
}

// until waits for a condition that another goroutine makes true.
func (r rig) until(cond func() bool) {
	r.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			r.Fatal("the condition never came true")
		}
	}
}

// test_spec_pushpull: push round robin out.
func TestPushDealsInTurn(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push := made(r, zmq.NewPush)
		ep := r.bind(push)
		const peers, rounds = 5, 4
		var pulls []*zmq.Pull
		for range peers {
			pull := made(r, zmq.NewPull)
			r.connect(pull, ep)
			pulls = append(pulls, pull)
		}
		r.ready(push, peers)
		for i := range peers * rounds {
			r.send(push, fmt.Sprint(i%peers), "x")
		}
		seen := map[string]bool{}
		for _, pull := range pulls {
			first, err := pull.Recv(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(first[0])] = true
			for range rounds - 1 {
				r.want(pull, string(first[0]), "x")
			}
			r.nothing(pull)
		}
		if len(seen) != peers {
			t.Errorf("%d of %d peers had a turn", len(seen), peers)
		}
	})
}

// test_spec_pushpull: pull fair queue in.
func TestPullTakesInTurn(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull := made(r, zmq.NewPull)
		ep := r.bind(pull)
		const peers, each = 4, 5
		for i := range peers {
			push := made(r, zmq.NewPush)
			r.connect(push, ep)
			for range each {
				r.send(push, fmt.Sprint(i), "more")
			}
		}
		r.until(func() bool {
			n := 0
			for _, p := range pull.Stats().Peers {
				n += p.RecvQueue
			}
			return n == peers*each
		})
		for range each {
			round := map[string]bool{}
			for range peers {
				m, err := pull.Recv(r.ctx)
				if err != nil || len(m) != 2 {
					t.Fatal(m, err)
				}
				round[string(m[0])] = true
			}
			if len(round) != peers {
				t.Errorf("one round heard %d of %d peers", len(round), peers)
			}
		}
	})
}

// test_spec_pushpull, test_spec_req, test_spec_dealer: without peers, senders
// wait.
func TestBlocksWithoutPeers(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		for _, typ := range []string{"PUSH", "DEALER", "REQ", "PAIR"} {
			t.Run(typ, func(t *testing.T) {
				r := rig{T: t, net: r.net, ctx: r.ctx, zctx: new(zmq.Context)}
				s, err := zmq.New(typ, zmq.InContext(r.zctx))
				r.socket(s, err)
				r.bind(s)
				r.refused(s.(zmq.Sender), "x")
				ctx, cancel := context.WithTimeout(r.ctx, time.Millisecond)
				defer cancel()
				if err := s.(zmq.Sender).SendBytes(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("send without peers: %v", err)
				}
			})
		}
		r.nothing(made(r, zmq.NewPull))
	})
}

func TestTimeouts(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	d := made(r, zmq.NewDealer, zmq.WithOption("sndtimeo", "1"), zmq.WithOption("rcvtimeo", "1"))
	if err := d.SendBytes(r.ctx, nil); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Error(err)
	}
	if _, err := d.Recv(r.ctx); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Error(err)
	}
	var timeout interface{ Timeout() bool }
	if _, err := d.Recv(r.ctx); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	if err := d.SetOption("rcvtimeo", "0"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Recv(r.ctx); !errors.Is(err, zmq.ErrWouldBlock) {
		t.Error(err)
	}
}

// test_hwm: messages that fit between two sockets in one process.
func TestInprocMarks(t *testing.T) {
	const many = 5000 // more than any mark here: no limit
	for _, c := range []struct {
		name       string
		send, recv int
		bindFirst  bool
		want       int
	}{
		{"defaults", -1, -1, true, 2000},
		{"defaults, connected first", -1, -1, false, 2000},
		{"no limit for sender", 0, 5, true, many},
		{"no limit for receiver", 5, 0, true, many},
		{"no limit for receiver, connected first", 5, 0, false, many},
		{"both", 4, 3, true, 7},
		{"both, connected first", 4, 3, false, 7},
		{"one and one", 1, 1, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
			var po, so []zmq.Option
			if c.send >= 0 {
				so = append(so, zmq.WithOption("sndhwm", strconv.Itoa(c.send)))
				po = append(po, zmq.WithOption("rcvhwm", strconv.Itoa(c.recv)))
			}
			push, pull := made(r, zmq.NewPush, so...), made(r, zmq.NewPull, po...)
			if c.bindFirst {
				pull.Bind("inproc://a")
				push.Connect("inproc://a")
			} else {
				push.Connect("inproc://a")
				pull.Bind("inproc://a")
			}
			fill := func() int {
				for i := range many {
					if err := push.TrySend(zmq.NewMsg("x")); err != nil {
						return i
					}
				}
				return many
			}
			if got := fill(); got != c.want {
				t.Errorf("%d messages fit, want %d", got, c.want)
			}
			for range c.want {
				r.want(pull, "x")
			}
			r.nothing(pull)
			if got := fill(); got != c.want {
				t.Errorf("%d messages fit the second time, want %d", got, c.want)
			}
		})
	}
}

// test_sockopt_hwm: a mark changed at run time, up and down.
func TestMarkChanges(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	push, pull := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "2")), made(r, zmq.NewPull, zmq.WithOption("rcvhwm", "1"))
	pull.Bind("inproc://a")
	push.Connect("inproc://a")
	for range 3 {
		r.send(push, "x")
	}
	r.refused(push, "x")
	if err := push.SetOption("sndhwm", "4"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.send(push, "x")
	}
	r.refused(push, "x")
	if err := pull.SetOption("rcvhwm", "2"); err != nil {
		t.Fatal(err)
	}
	r.send(push, "x")
	r.refused(push, "x")
	if err := push.SetOption("sndhwm", "1"); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		r.want(pull, "x")
	}
	for range 3 {
		r.send(push, "x")
	}
	r.refused(push, "x")
}

// Messages queue for a peer that is not there yet, up to the sender's mark,
// and reach it when it comes.
func TestQueueBeforeConnection(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		// Learn a free endpoint.
		first := made(r, zmq.NewPull)
		ep := r.bind(first)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		push := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "10"), zmq.WithReconnect(time.Millisecond, 0))
		r.connect(push, ep)
		for i := range 10 {
			r.send(push, fmt.Sprint(i))
		}
		r.refused(push, "full")
		pull := made(r, zmq.NewPull)
		if _, err := pull.Bind(ep); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			r.want(pull, fmt.Sprint(i))
		}
	})
}

// A blocked sender goes on when there is room, and not before.
func TestBackPressure(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "2")), made(r, zmq.NewPull, zmq.WithOption("rcvhwm", "2"))
		r.connect(push, r.bind(pull))
		body := make([]byte, 256<<10)
		sent := make(chan int)
		n := 200
		if raceEnabled && r.net.name == "ws" {
			n = 20 // masking takes the race detector long
		}
		go func() {
			for i := range n {
				m := zmq.Msg{fmt.Append(nil, i), body}
				if err := push.Send(r.ctx, m); err != nil {
					break
				}
			}
			close(sent)
		}()
		for i := range n {
			m, err := pull.Recv(r.ctx)
			if err != nil || string(m[0]) != fmt.Sprint(i) || len(m[1]) != len(body) {
				t.Fatal(i, len(m), err)
			}
			m.Release()
		}
		<-sent
	})
}

// A peer that reads nothing must hold at most what the marks and the kernel
// allow, and the sender must notice.
func TestStalledPeerBlocksPush(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			r := rig{T: t, net: n, ctx: ctx, zctx: new(zmq.Context)}
			push := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "3"), zmq.WithLinger(0))
			pull := made(r, zmq.NewPull, zmq.WithOption("rcvhwm", "3"))
			r.connect(push, r.bind(pull))
			r.ready(push, 1)
			body := make([]byte, 1<<20)
			sent := 0
			for {
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				err := push.SendBytes(short, body)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if sent++; sent > 200 {
					t.Fatal("200 MiB sent without a receiver")
				}
			}
			for range sent {
				m, err := pull.RecvBytes(ctx)
				if err != nil || len(m) != len(body) {
					t.Fatal(len(m), err)
				}
			}
			r.nothing(pull)
		})
	}
}

// Cancelled calls neither lose nor duplicate messages.
func TestCancellation(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush, zmq.WithOption("sndhwm", "3")), made(r, zmq.NewPull, zmq.WithOption("rcvhwm", "3"))
		r.connect(push, r.bind(pull))
		const n = 500
		done := make(chan error, 1)
		go func() {
			for i := 0; i < n; {
				ctx, cancel := context.WithTimeout(r.ctx, time.Duration(i%5)*10*time.Microsecond)
				err := push.Send(ctx, zmq.NewMsg(fmt.Sprint(i), "tail"))
				cancel()
				switch {
				case err == nil:
					i++
				case !errors.Is(err, context.DeadlineExceeded):
					done <- err
					return
				}
			}
			done <- nil
		}()
		for i := 0; i < n; {
			ctx, cancel := context.WithTimeout(r.ctx, time.Duration(i%3)*10*time.Microsecond)
			m, err := pull.Recv(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) && r.ctx.Err() == nil {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(m) != 2 || string(m[0]) != fmt.Sprint(i) {
				t.Fatalf("received %v, want %d", m, i)
			}
			i++
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// Many goroutines on one socket: each message arrives once.
func TestConcurrentUse(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		const workers, each = 8, 2000
		for w := range workers {
			go func() {
				for i := range each {
					push.SendBytes(r.ctx, fmt.Appendf(nil, "%d-%d", w, i))
				}
			}()
		}
		got := make(chan string, workers*each)
		for range workers {
			go func() {
				for range each {
					b, err := pull.RecvBytes(r.ctx)
					if err != nil {
						got <- err.Error()
						return
					}
					got <- string(b)
				}
			}()
		}
		seen := map[string]bool{}
		for range workers * each {
			s := <-got
			if seen[s] {
				t.Fatalf("%s came twice", s)
			}
			seen[s] = true
		}
		for w := range workers {
			for i := range each {
				if !seen[fmt.Sprintf("%d-%d", w, i)] {
					t.Fatalf("%d-%d never came", w, i)
				}
			}
		}
	})
}

// test_conflate: only the latest message stays.
func TestConflate(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	push, pull := made(r, zmq.NewPush, zmq.WithOption("conflate", "1")), made(r, zmq.NewPull)
	pull.Bind("inproc://a")
	push.Connect("inproc://a")
	for i := range 100 {
		r.send(push, fmt.Sprint(i))
	}
	r.want(pull, "99")
	r.nothing(pull)
}

func TestConflateReceiver(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			r := rig{T: t, net: n, ctx: ctx, zctx: new(zmq.Context)}
			pull, push := made(r, zmq.NewPull, zmq.WithOption("conflate", "1")), made(r, zmq.NewPush)
			r.connect(push, r.bind(pull))
			for i := range 100 {
				r.send(push, fmt.Sprint(i))
			}
			r.until(func() bool { return pull.Stats().MessagesReceived == 100 })
			r.want(pull, "99")
			r.nothing(pull)
		})
	}
}

// test_immediate: without a peer nothing is queued.
func TestImmediate(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), limit)
			defer stop()
			r := rig{T: t, net: n, ctx: ctx, zctx: new(zmq.Context)}
			gone := made(r, zmq.NewPull)
			nowhere := r.bind(gone)
			gone.Close()
			push, pull := made(r, zmq.NewPush, zmq.WithOption("immediate", "1")), made(r, zmq.NewPull)
			r.connect(push, nowhere)
			r.refused(push, "x")
			r.connect(push, r.bind(pull))
			for i := range 20 {
				r.send(push, fmt.Sprint(i))
			}
			for i := range 20 {
				r.want(pull, fmt.Sprint(i))
			}
		})
	}
}

// A peer with messages of many frames, or with large ones, does not delay the
// small messages of another: turns are counted in octets.
func TestFairByOctets(t *testing.T) {
	many := make(zmq.Msg, 20000)
	for i := range many {
		many[i] = []byte{1}
	}
	for name, huge := range map[string]zmq.Msg{"frames": many, "octets": {make([]byte, 1<<20)}} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r rig) {
				pull := made(r, zmq.NewPull)
				at := r.bind(pull)
				large, small := made(r, zmq.NewPush), made(r, zmq.NewPush)
				r.connect(large, at)
				r.connect(small, at)
				for range 3 {
					r.must(large.Send(r.ctx, huge))
				}
				for range 100 {
					r.must(small.SendBytes(r.ctx, []byte("small")))
				}
				r.until(func() bool { return pull.Stats().MessagesReceived == 103 })
				got := 0 // large messages before the last small one
				for n := 0; n < 100; {
					m, err := pull.Recv(r.ctx)
					r.must(err)
					if string(m[0]) == "small" {
						n++
					} else {
						got++
					}
				}
				if got > 2 {
					t.Errorf("%d large messages among 100 small ones, want 2 at most", got)
				}
			})
		})
	}
}
