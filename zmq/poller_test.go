package zmq_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
)

func TestPoller(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush)
		ep := r.bind(pull)
		var p zmq.Poller
		defer p.Close()
		r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
		r.must(p.Set(zmq.PollItem{Socket: push, Send: true}))
		if got := p.Poll(); len(got) != 0 {
			t.Errorf("ready without peers: %v", got)
		}
		r.connect(push, ep)
		ready, err := p.Wait(r.ctx)
		if err != nil || len(ready) != 1 || ready[0] != (zmq.PollItem{Socket: push, Send: true}) {
			t.Fatal(ready, err)
		}
		r.must(p.Set(zmq.PollItem{Socket: push}))
		r.send(push, "x")
		ready, err = p.Wait(r.ctx)
		if err != nil || len(ready) != 1 || ready[0] != (zmq.PollItem{Socket: pull, Recv: true}) {
			t.Fatal(ready, err)
		}
		r.want(pull, "x")
		r.must(p.Set(zmq.PollItem{Socket: pull}))
		ctx, cancel := context.WithTimeout(r.ctx, time.Millisecond)
		defer cancel()
		if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
		pull.Close()
		if ready, err := p.Wait(r.ctx); err != nil || len(ready) != 1 {
			t.Error(ready, err)
		}
		r.must(p.Set(zmq.PollItem{Socket: push})) // it is removed already
	})
}

// Close ends Wait, also that of several callers, and later calls.
func TestPollerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{T: t, net: network{"inproc", func(*testing.T) string { return "inproc://a" }, plain}, ctx: t.Context(), zctx: new(zmq.Context)}
		pull := made(r, zmq.NewPull)
		var p zmq.Poller
		r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
		ended := make(chan error, 4)
		for range cap(ended) {
			go func() {
				_, err := p.Wait(r.ctx)
				ended <- err
			}()
		}
		synctest.Wait()
		r.must(p.Close())
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, zmq.ErrClosed) {
				t.Errorf("Wait ended with %v", err)
			}
		}
		if _, open := <-p.Notify(); open {
			if _, open = <-p.Notify(); open {
				t.Error("the channel of Notify is open")
			}
		}
		if _, err := p.Wait(r.ctx); !errors.Is(err, zmq.ErrClosed) {
			t.Errorf("Wait after Close: %v", err)
		}
		if err := p.Set(zmq.PollItem{Socket: pull, Recv: true}); !errors.Is(err, zmq.ErrClosed) {
			t.Errorf("Set after Close: %v", err)
		}
		if got := p.Poll(); got != nil {
			t.Errorf("Poll after Close: %v", got)
		}
		r.must(p.Close())
	})
}

// One message ends every Wait, and so does closing a socket.
func TestPollerManyWaiters(t *testing.T) {
	for name, ready := range map[string]func(r rig, pull *zmq.Pull, push *zmq.Push){
		"message": func(r rig, _ *zmq.Pull, push *zmq.Push) { r.send(push, "x") },
		"closed":  func(_ rig, pull *zmq.Pull, _ *zmq.Push) { pull.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{T: t, net: network{"inproc", func(*testing.T) string { return "inproc://a" }, plain}, ctx: t.Context(), zctx: new(zmq.Context)}
				pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush)
				r.connect(push, r.bind(pull))
				var p zmq.Poller
				defer p.Close()
				r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
				var waiters sync.WaitGroup
				for range 16 {
					waiters.Go(func() {
						if got, err := p.Wait(r.ctx); err != nil || len(got) != 1 || !got[0].Recv {
							t.Errorf("%v, %v", got, err)
						}
					})
				}
				synctest.Wait()
				ready(r, pull, push)
				waiters.Wait()
			})
		})
	}
}

// A loop of another kind waits for the channel of Notify and uses the socket
// until Poll finds nothing: it misses no message, however they come.
func TestPollerNotify(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pull, push := made(r, zmq.NewPull), made(r, zmq.NewPush, zmq.WithHWM(10))
		r.connect(push, r.bind(pull))
		var p, q zmq.Poller
		defer p.Close()
		defer q.Close()
		r.must(p.Set(zmq.PollItem{Socket: pull, Recv: true}))
		r.must(q.Set(zmq.PollItem{Socket: push, Send: true}))
		const n = 2000
		var sender sync.WaitGroup
		defer sender.Wait()
		sender.Go(func() {
			for sent := 0; sent < n; {
				select {
				case <-q.Notify():
				case <-r.ctx.Done():
					t.Error("never writable again")
					return
				}
				for ; len(q.Poll()) > 0 && sent < n; sent++ {
					if err := push.TrySend(zmq.NewMsg("x")); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		for got := 0; got < n; {
			select {
			case <-p.Notify():
			case <-r.ctx.Done():
				t.Fatalf("%d of %d messages, then no notification", got, n)
			}
			for ; len(p.Poll()) > 0; got++ {
				if _, err := pull.TryRecv(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
