package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"strconv"
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

// tally counts how often each numbered message arrived.
type tally struct {
	mu   sync.Mutex
	seen map[uint32]int
}

// take receives with pull until ctx is done, and then what is left.
func (y *tally) take(ctx context.Context, pull *zmq.Pull) {
	for {
		b, err := pull.RecvBytes(ctx)
		if err != nil {
			break
		}
		y.note(b)
	}
	for {
		m, err := pull.TryRecv()
		if err != nil {
			return
		}
		y.note(m[0])
	}
}

func (y *tally) note(b []byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.seen[binary.BigEndian.Uint32(b)]++
}

// check waits until n messages have arrived, and fails if one did so twice.
func (y *tally) check(r rig, n int) {
	r.Helper()
	r.until(func() bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return len(y.seen) == n
	})
	y.mu.Lock()
	defer y.mu.Unlock()
	for i, times := range y.seen {
		if times != 1 {
			r.Fatalf("message %d arrived %d times", i, times)
		}
	}
}

// leave drains ep and closes pull, while messages are received.
func (y *tally) leave(r rig, pull *zmq.Pull, ep *zmq.Endpoint) {
	ctx, stop := context.WithCancel(r.ctx)
	drained := make(chan error, 1)
	go func() {
		drained <- ep.Drain(r.ctx)
		stop()
	}()
	y.take(ctx, pull)
	r.must(<-drained)
	if n := pull.Stats().DroppedLost; n != 0 {
		r.Errorf("a worker lost %d messages", n)
	}
	r.must(pull.Close())
}

// sendNumbers sends messages with growing numbers until stop is closed, and returns how many.
func sendNumbers(r rig, push *zmq.Push, stop chan struct{}) (sent chan int) {
	sent = make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent <- i
				return
			default:
			}
			if err := push.SendBytes(r.ctx, binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
				r.Error(err)
				sent <- i
				return
			}
		}
	}()
	return sent
}

// Workers that are bound leave one after another. The PUSH that connected to all of
// them loses no message, and sends none twice.
func TestDrainBound(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		const workers = 6
		room := zmq.WithHWM(100)
		push := made(r, zmq.NewPush, room)
		y := &tally{seen: make(map[uint32]int)}
		last, stop := context.WithCancel(r.ctx)
		var running sync.WaitGroup
		var leavers []func()
		for i := range workers {
			pull := made(r, zmq.NewPull, room)
			at := r.net.bind(t)
			if r.net.name == "inproc" {
				at += strconv.Itoa(i)
			}
			ep, err := pull.Bind(at)
			r.must(err)
			r.connect(push, ep.Addr())
			if i == workers-1 {
				running.Go(func() { y.take(last, pull) })
				continue
			}
			leavers = append(leavers, func() { y.leave(r, pull, ep) })
		}
		r.ready(push, workers)
		enough := make(chan struct{})
		sent := sendNumbers(r, push, enough)
		for _, leave := range leavers {
			leave()
		}
		close(enough)
		y.check(r, <-sent)
		stop()
		running.Wait()
		if n := push.Stats().DroppedLost; n != 0 {
			t.Errorf("the PUSH lost %d messages", n)
		}
	})
}

// The only worker leaves, and another one binds its address: the PUSH that connected
// keeps what it has until then.
func TestDrainOnlyWorker(t *testing.T) {
	r := overTCP(t)
	push := made(r, zmq.NewPush, zmq.WithReconnect(1, 0))
	y := &tally{seen: make(map[uint32]int)}
	at := "tcp://127.0.0.1:*"
	enough := make(chan struct{})
	var sent chan int
	const lives = 4
	for i := range lives {
		pull := made(r, zmq.NewPull)
		ep, err := pull.Bind(at)
		r.must(err)
		if i == 0 {
			at = ep.Addr()
			r.connect(push, at)
			sent = sendNumbers(r, push, enough)
		}
		b, err := pull.RecvBytes(r.ctx)
		r.must(err)
		y.note(b)
		if i < lives-1 {
			y.leave(r, pull, ep)
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			y.take(ctx, pull)
		}()
		close(enough)
		y.check(r, <-sent)
		stop()
		<-done
	}
	if n := push.Stats().DroppedLost; n != 0 {
		t.Errorf("the PUSH lost %d messages", n)
	}
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
