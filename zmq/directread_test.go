package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"lintel.dev/zmq"
)

// onStreams runs a test over the networks whose connections a receiver can
// read itself.
func onStreams(t *testing.T, f func(t *testing.T, r rig)) {
	if runtime.GOOS == "windows" {
		t.Skip("goroutines of their own read all connections")
	}
	everywhere(t, func(t *testing.T, r rig) {
		if r.net.name == "tcp" || r.net.name == "ipc" {
			f(t, r)
		}
	})
}

// whileWaiting calls f while a receiver of s waits.
func (r rig) whileWaiting(ctx context.Context, s zmq.Receiver, f func()) (zmq.Msg, error) {
	r.Helper()
	type result struct {
		m   zmq.Msg
		err error
	}
	got := make(chan result, 1)
	go func() {
		m, err := s.Recv(ctx)
		got <- result{m, err}
	}()
	r.until(func() bool { return zmq.Waits(s) })
	f()
	x := <-got
	return x.m, x.err
}

// lend makes s receive what send sends until s reads its connection itself.
func (r rig) lend(s zmq.Receiver, send func(m string)) {
	r.Helper()
	for !zmq.Lent(s) {
		m, err := r.whileWaiting(r.ctx, s, func() { send("warm") })
		if err != nil || m.String() != "warm" {
			r.Fatalf("%q, %v", m, err)
		}
	}
}

// direct returns a PUSH and a PULL that reads its connection itself.
func direct(r rig) (push *zmq.Push, pull *zmq.Pull, at string) {
	push, pull = made(r, zmq.NewPush), made(r, zmq.NewPull)
	at = r.bind(pull)
	r.connect(push, at)
	r.lend(pull, func(m string) { r.send(push, m) })
	return push, pull, at
}

// A receiver that is cancelled while it reads loses nothing.
func TestDirectReadCancelled(t *testing.T) {
	onStreams(t, func(t *testing.T, r rig) {
		push, pull, _ := direct(r)
		const n = 300
		large := strings.Repeat("x", 100<<10)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range n {
				r.send(push, fmt.Sprint(i), large)
			}
		})
		for i := 0; i < n; {
			ctx, cancel := context.WithCancel(r.ctx)
			wg.Go(cancel)
			m, err := pull.Recv(ctx)
			switch {
			case err == nil:
				if string(m[0]) != fmt.Sprint(i) || string(m[1]) != large {
					t.Fatalf("received %.20q, want %d", m, i)
				}
				i++
			case !errors.Is(err, context.Canceled) || r.ctx.Err() != nil:
				t.Fatal(i, err)
			}
		}
		wg.Wait()
	})
}

// A frame of which a receiver read a part before it went away is whole for the
// next one.
func TestDirectReadLeavesPartOfAFrame(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	w := r.dialRaw(r.bind(pull))
	w.shake(1, "PUSH")
	body := strings.Repeat("0123456789", 100<<10)
	all := frame(1, "begin") + frame(1, body) + frame(0, "end")
	for _, part := range []int{1, 3, 9, 17, 1000, 20 << 10, 700 << 10, len(all) - 2} {
		r.lend(pull, func(m string) { w.put(frame(0, m)) })
		ctx, cancel := context.WithCancel(r.ctx)
		_, err := r.whileWaiting(ctx, pull, func() {
			w.put(all[:part])
			cancel()
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(part, err)
		}
		w.put(all[part:])
		r.want(pull, "begin", body, "end")
	}
}

// Who waits for something else than the only connection is not left waiting.
func TestDirectReadMakesWay(t *testing.T) {
	for name, other := range map[string]func(r rig, at string, pull *zmq.Pull){
		"second connection": func(r rig, at string, pull *zmq.Pull) {
			push := made(r, zmq.NewPush)
			r.connect(push, at)
			r.send(push, "x")
		},
		"close": func(r rig, _ string, pull *zmq.Pull) { r.must(pull.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			_, pull, at := direct(r)
			m, err := r.whileWaiting(r.ctx, pull, func() { other(r, at, pull) })
			if m.String() != "x" && !errors.Is(err, zmq.ErrClosed) {
				t.Errorf("%q, %v", m, err)
			}
		})
	}
}

// What two receivers wait for goes to both.
func TestDirectReadGetsCompany(t *testing.T) {
	r := overTCP(t)
	push, pull, _ := direct(r)
	const n = 2000
	var wg sync.WaitGroup
	got := make(chan string, n)
	for range 2 {
		wg.Go(func() {
			for {
				m, err := pull.Recv(r.ctx)
				if err != nil || m.String() == "end" {
					return
				}
				got <- m.String()
			}
		})
	}
	for i := range n {
		r.send(push, fmt.Sprint(i))
		if i%100 == 0 { // both wait
			r.until(func() bool { return len(got) == i+1 })
		}
	}
	r.send(push, "end")
	r.send(push, "end")
	wg.Wait()
	seen := map[string]bool{}
	for range n {
		seen[<-got] = true
	}
	if len(seen) != n {
		t.Errorf("%d different messages, want %d", len(seen), n)
	}
}

// A connection whose receiver stays away is read all the same.
func TestDirectReadStaysAway(t *testing.T) {
	r := overTCP(t)
	push, pull, _ := direct(r)
	r.until(func() bool { return !zmq.Lent(pull) })
	r.lend(pull, func(m string) { r.send(push, m) })
	r.send(push, "last")
	r.must(push.Close())
	r.until(func() bool { return !zmq.Lent(pull) })
	r.want(pull, "last")
}

// A poller, TryRecv and Request find what has arrived while the connection is
// lent to receivers.
func TestDirectReadAndOthers(t *testing.T) {
	onStreams(t, func(t *testing.T, r rig) {
		push, pull, _ := direct(r)
		for i := range 100 {
			r.send(push, fmt.Sprint(i))
			for {
				m, err := pull.TryRecv()
				if err == nil {
					if m.String() != fmt.Sprint(i) {
						t.Fatalf("%q, want %d", m, i)
					}
					break
				}
				if !errors.Is(err, zmq.ErrWouldBlock) || r.ctx.Err() != nil {
					t.Fatal(err)
				}
				runtime.Gosched()
			}
		}
		r.lend(pull, func(m string) { r.send(push, m) })
		var p zmq.Poller
		defer p.Close()
		r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
		r.send(push, "polled")
		if _, err := p.Wait(r.ctx); err != nil {
			t.Fatal(err)
		}
		r.want(pull, "polled")
	})
	onStreams(t, func(t *testing.T, r rig) {
		dealer, router := made(r, zmq.NewDealer), made(r, zmq.NewRouter, zmq.WithOption("rcvhwm", "1"))
		r.connect(dealer, r.bind(router))
		r.send(dealer, "hello")
		m, err := router.Recv(r.ctx)
		r.must(err)
		r.lend(dealer, func(text string) { r.must(router.Send(r.ctx, zmq.Msg{m[0], []byte(text)})) })
		go router.Serve(r.ctx, func(_ context.Context, q zmq.Msg) (zmq.Msg, error) { return q, nil })
		for range 20 {
			reply, err := dealer.Request(r.ctx, zmq.NewMsg("question"))
			if err != nil || reply.String() != "question" {
				t.Fatalf("%q, %v", reply, err)
			}
		}
	})
}
