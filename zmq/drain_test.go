package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"

	"lintel.dev/zmq"
)

// Workers that leave by Drain lose no message and get none twice, however many leave
// while messages are under way.
func TestDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		const workers, quota = 20, 50
		room := zmq.WithHWM(100)
		push := made(r, zmq.NewPush, room)
		at := r.bind(push)

		var mu sync.Mutex
		var seen []int
		got := 0
		note := func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			i := int(binary.BigEndian.Uint32(b))
			for len(seen) <= i {
				seen = append(seen, 0)
			}
			seen[i]++
			got++
		}
		var leaving sync.WaitGroup
		for n := range workers {
			pull := made(r, zmq.NewPull, room)
			ep := r.connect(pull, at)
			leaving.Go(func() {
				for range quota * (n + 1) {
					b, err := pull.RecvBytes(r.ctx)
					if err != nil {
						t.Error(err)
						return
					}
					note(b)
				}
				ctx, stop := context.WithCancel(r.ctx)
				drained := make(chan error, 1)
				go func() {
					drained <- ep.Drain(r.ctx)
					stop()
				}()
				for {
					b, err := pull.RecvBytes(ctx)
					if err != nil {
						break
					}
					note(b)
				}
				if err := <-drained; err != nil {
					t.Error(err)
				}
				for {
					m, err := pull.TryRecv()
					if err != nil {
						break
					}
					note(m[0])
				}
				if n := pull.Stats().DroppedLost; n != 0 {
					t.Errorf("a worker lost %d messages", n)
				}
				if err := pull.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		r.ready(push, workers)
		left := make(chan struct{})
		sent := make(chan int, 1)
		go func() { // sends until the workers have left, and some more
			more := 1000
			for i := 0; ; i++ {
				select {
				case <-left:
					more--
				default:
				}
				if more == 0 {
					sent <- i
					return
				}
				if err := push.SendBytes(r.ctx, binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
					t.Error(err)
					sent <- i
					return
				}
			}
		}()
		leaving.Wait()
		close(left)
		if t.Failed() {
			return
		}
		last := made(r, zmq.NewPull)
		r.connect(last, at)
		ctx, stop := context.WithCancel(r.ctx)
		total := 0
		go func() {
			defer stop()
			total = <-sent
			for r.ctx.Err() == nil {
				mu.Lock()
				all := got >= total
				mu.Unlock()
				if all {
					return
				}
				runtime.Gosched()
			}
		}()
		for {
			b, err := last.RecvBytes(ctx)
			if err != nil {
				break
			}
			note(b)
		}
		mu.Lock()
		defer mu.Unlock()
		<-ctx.Done()
		t.Logf("%d messages, %d workers", total, workers+1)
		if len(seen) != total {
			t.Errorf("%d messages seen, want %d", len(seen), total)
		}
		for i, n := range seen {
			if n != 1 {
				t.Fatalf("message %d arrived %d times; %d of %d in all, %d counted as lost", i, n, got, total, push.Stats().DroppedLost)
			}
		}
	})
}

// A PULL that is bound, a peer that knows nothing of DRAIN and other types.
func TestDrainOthers(t *testing.T) {
	r := overTCP(t)
	pull := made(r, zmq.NewPull)
	ep, err := pull.Bind("tcp://127.0.0.1:*")
	r.must(err)
	w := r.dialRaw(ep.Addr())
	w.shake(1, "PUSH")
	w.put(frame(0, "a"))
	r.want(pull, "a")
	r.must(ep.Drain(r.ctx))
	w.gone()
	if err := ep.Drain(r.ctx); !errors.Is(err, zmq.ErrNoEndpoint) {
		t.Errorf("Drain of a closed endpoint: %v", err)
	}
	dealer := made(r, zmq.NewDealer)
	if ep, err = dealer.Bind("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	if err := ep.Drain(r.ctx); !errors.Is(err, zmq.ErrNotSupported) {
		t.Errorf("Drain of a DEALER: %v", err)
	}

	// A peer that never answers is waited for until ctx is done.
	silent := made(r, zmq.NewPull)
	at, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	defer at.Close()
	ep = r.connect(silent, "tcp://"+at.Addr().String())
	c, err := at.Accept()
	r.must(err)
	defer c.Close()
	s := wire{r, c}
	s.put(greeting(1, "NULL") + command("READY", property("Socket-Type", "PUSH")+property("X-Lintel-Drain", "1")))
	r.until(func() bool { return len(silent.Stats().Peers) == 1 && silent.Stats().Peers[0].Connected })
	ctx, stop := context.WithCancel(r.ctx)
	stop()
	if err := ep.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain with a context that is done: %v", err)
	}
}
