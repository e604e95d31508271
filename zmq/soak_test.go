package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// TestSoak: 50 publishers and 200 subscribers, most of which come, go and lose
// their connections at random for the time that LINTEL_SOAK says (60s in CI, a
// short while otherwise). However that goes:
//
//   - what one subscriber gets from one publisher comes in order and once;
//   - between those that stay, each publication was received or is counted in
//     DroppedFull;
//   - of the others, what was queued arrived, is counted in DroppedLost, or was
//     under way on a connection that broke;
//   - afterwards no goroutine, descriptor or memory is left.
func TestSoak(t *testing.T) {
	d := 3 * time.Second
	if s := os.Getenv("LINTEL_SOAK"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	soakOnce(t, d/10) // whatever is kept for good is there
	goroutines, files, heap := runtime.NumGoroutine(), descriptors(), heapInUse()
	sum := soakOnce(t, d)
	t.Logf("%+v", sum)

	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	r := rig{T: t, ctx: ctx}
	r.until(func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := descriptors(); n > files {
		t.Errorf("%d descriptors are open, %d before", n, files)
	}
	if n := heapInUse(); n > heap+8<<20 {
		t.Errorf("%d bytes of heap are in use, %d before", n, heap)
	}
}

// descriptors counts the open ones, where the system tells.
func descriptors() int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(fds)
}

func heapInUse() uint64 {
	var m runtime.MemStats
	for range 3 { // what is pooled takes two to go
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const (
	soakPublishers  = 50
	soakSubscribers = 200
	steadyPairs     = 5 // publishers that stay, each with steadyReaders
	steadyReaders   = 4
	soakTopics      = 4
)

// soakSum is what became of everything.
type soakSum struct {
	Queued, DroppedFull, DroppedLost, Arrived, Restarts, Cuts int64
}

// soak is one run.
type soak struct {
	t    *testing.T
	ctx  context.Context // done when the churn is over
	zctx *zmq.Context
	at   []string // of the publishers that come and go
	next atomic.Uint64

	queued, full, lost, arrived, restarts, cuts atomic.Int64
}

func soakOnce(t *testing.T, d time.Duration) soakSum {
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	k := &soak{t: t, ctx: ctx, zctx: new(zmq.Context)}
	dir := t.TempDir()
	for i := range soakPublishers - steadyPairs {
		k.at = append(k.at, "ipc://"+filepath.Join(dir, fmt.Sprint(i)))
		if i%2 == 0 {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			k.at[i] = "tcp://" + ln.Addr().String()
			ln.Close()
		}
	}
	var wg sync.WaitGroup
	for _, at := range k.at {
		wg.Go(func() { k.publisher(at) })
	}
	for range soakSubscribers - steadyPairs*steadyReaders {
		wg.Go(k.subscriber)
	}
	for range steadyPairs {
		wg.Go(k.steady)
	}
	wg.Wait()
	// A connection may break with messages on their way, so that fewer arrive
	// than left; never more.
	if under := k.queued.Load() - k.lost.Load() - k.arrived.Load(); under < 0 || k.cuts.Load()+k.restarts.Load() == 0 && under > 0 {
		t.Errorf("%d queued, %d of them lost before they left, %d arrived", k.queued.Load(), k.lost.Load(), k.arrived.Load())
	}
	return soakSum{k.queued.Load(), k.full.Load(), k.lost.Load(), k.arrived.Load(), k.restarts.Load(), k.cuts.Load()}
}

// soakOptions are marks and buffers so small that some messages are dropped.
func (k *soak) options(more ...zmq.Option) []zmq.Option {
	return append([]zmq.Option{
		zmq.InContext(k.zctx), zmq.WithHWM(20), zmq.WithOption("sndbuf", "8192"), zmq.WithOption("rcvbuf", "8192"),
		zmq.WithReconnect(5*time.Millisecond, 20*time.Millisecond),
	}, more...)
}

// publication is message number seq of the publisher of that id.
func publication(id, seq uint64) zmq.Msg {
	m := zmq.Msg{[]byte{'a' + byte(seq%soakTopics)}, make([]byte, 16, 16+1000)}
	binary.BigEndian.PutUint64(m[1], id)
	binary.BigEndian.PutUint64(m[1][8:], seq)
	m[1] = m[1][:16+rand.IntN(1000)]
	return m
}

// publish sends bursts until ctx is done and returns how many messages.
func (k *soak) publish(ctx context.Context, s zmq.Sender, id uint64) (n uint64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for range rand.IntN(30) {
			if err := s.Send(context.Background(), publication(id, n)); err != nil {
				k.t.Error(err)
				return n
			}
			n++
		}
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
		}
	}
}

// publisher is one publisher after the other at one address.
func (k *soak) publisher(at string) {
	for k.ctx.Err() == nil {
		pub, err := zmq.NewPub(k.options(zmq.WithLinger(time.Duration(rand.IntN(2)) * 10 * time.Millisecond))...)
		if err != nil {
			k.t.Error(err)
			return
		}
		if _, err := pub.Bind(at); err == nil {
			life, end := context.WithTimeout(k.ctx, time.Duration(100+rand.IntN(2000))*time.Millisecond)
			k.publish(life, pub, k.next.Add(1))
			end()
			k.restarts.Add(1)
		} else {
			wait, end := context.WithTimeout(k.ctx, 10*time.Millisecond)
			<-wait.Done() // the port is the local end of a connection for now
			end()
		}
		pub.Close()
		st := pub.Stats()
		k.queued.Add(int64(st.MessagesSent))
		k.full.Add(int64(st.DroppedFull))
		k.lost.Add(int64(st.DroppedLost))
	}
}

// subscriber is one subscriber after the other.
func (k *soak) subscriber() {
	for k.ctx.Err() == nil {
		k.subscribe()
		k.restarts.Add(1)
	}
}

// cutter makes connections and can break them.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// subscribe is the life of one subscriber.
func (k *soak) subscribe() {
	var c cutter
	sub, err := zmq.NewSub(k.options(zmq.WithDialer(c.dial))...)
	if err != nil {
		k.t.Error(err)
		return
	}
	defer func() {
		sub.Close()
		k.arrived.Add(int64(sub.Stats().MessagesReceived))
	}()
	mine := rand.Perm(len(k.at)) // each address at most once: what an ended connection left may still be read
	var last *zmq.Endpoint
	connect := func() {
		if len(mine) == 0 {
			return
		}
		var err error
		if last, err = sub.Connect(k.at[mine[0]]); err != nil {
			k.t.Error(err)
		}
		mine = mine[1:]
	}
	connect()
	connect()
	k.check(sub.Subscribe(string(rune('a' + rand.IntN(soakTopics)))))
	seen := make(map[uint64]uint64)
	for range rand.IntN(10) {
		span, end := context.WithTimeout(k.ctx, time.Duration(50+rand.IntN(500))*time.Millisecond)
		for m, err := range sub.Messages(span) {
			if err != nil {
				break
			}
			k.inOrder(seen, m)
		}
		end()
		if k.ctx.Err() != nil {
			return
		}
		topic := string(rune('a' + rand.IntN(soakTopics)))
		switch rand.IntN(5) {
		case 0:
			c.cut()
			k.cuts.Add(1)
		case 1:
			k.check(last.Close())
			k.cuts.Add(1)
			connect()
		case 2:
			k.check(sub.Subscribe(topic))
		case 3:
			k.check(sub.Unsubscribe(topic))
		}
	}
}

func (k *soak) check(err error) {
	if err != nil && !errors.Is(err, zmq.ErrNoEndpoint) {
		k.t.Error(err)
	}
}

// inOrder checks that m is newer than what its publisher sent before.
func (k *soak) inOrder(seen map[uint64]uint64, m zmq.Msg) {
	if len(m) != 2 || len(m[0]) != 1 || len(m[1]) < 16 {
		k.t.Errorf("received %q", m)
		return
	}
	id, seq := binary.BigEndian.Uint64(m[1]), binary.BigEndian.Uint64(m[1][8:])
	if last, ok := seen[id]; ok && seq <= last {
		k.t.Errorf("message %d of publisher %d came after %d", seq, id, last)
	}
	if m[0][0] != 'a'+byte(seq%soakTopics) {
		k.t.Errorf("message %d has topic %q", seq, m[0])
	}
	seen[id] = seq
}

// steady is a publisher and its readers that stay: nothing may be missing but
// what the publisher says it dropped.
func (k *soak) steady() {
	limited, stop := context.WithTimeout(context.WithoutCancel(k.ctx), 2*limit)
	defer stop()
	pub, err := zmq.NewXPub(k.options()...)
	if err != nil {
		k.t.Error(err)
		return
	}
	defer pub.Close()
	ep, err := pub.Bind("tcp://127.0.0.1:*")
	if err != nil {
		k.t.Error(err)
		return
	}
	id := k.next.Add(1)
	var got atomic.Uint64
	var wg sync.WaitGroup
	for i := range steadyReaders {
		sub, err := zmq.NewSub(k.options()...)
		if err != nil {
			k.t.Error(err)
			return
		}
		topic := string(rune('a' + i))
		k.check(sub.Subscribe(topic))
		if _, err := sub.Connect(ep.Addr()); err != nil {
			k.t.Error(err)
		}
		wg.Go(func() {
			defer sub.Close()
			seen := make(map[uint64]uint64)
			for {
				m, err := sub.Recv(limited)
				if err != nil {
					k.t.Errorf("%v after %d messages", err, len(seen))
					return
				}
				if len(m) == 1 && len(m[0]) == 2 {
					return // the end
				}
				k.inOrder(seen, m)
				got.Add(1)
			}
		})
		if m, err := pub.Recv(limited); err != nil || string(m[0]) != "\x01"+topic {
			k.t.Errorf("subscription %q, %v", m, err)
		}
	}
	n := k.publish(k.ctx, pub, id)
	// The end is not to be dropped: it waits for room.
	k.check(pub.SetOption("xpub_nodrop", "1"))
	for i := range steadyReaders {
		k.check(pub.Send(limited, zmq.NewMsg(string([]byte{'a' + byte(i), '.'}))))
	}
	st := pub.Stats()
	wg.Wait()
	if got.Load()+st.DroppedFull != n || st.MessagesSent != got.Load()+steadyReaders || st.DroppedLost != 0 {
		k.t.Errorf("%d published, %d received, and the publisher says %+v", n, got.Load(), st)
	}
	k.full.Add(int64(st.DroppedFull))
}
