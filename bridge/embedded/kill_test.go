package embedded_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/enginetest"
	"lintel.dev/bridge/jetstream"
)

// maxOwed is how far the consumer of a load may be behind.
const maxOwed = 500

// load puts messages into a queue and processes them until it is stopped, and
// knows which are owed: those with a receipt that no worker has seen.
type load struct {
	q  engine.Queue
	wg sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	stopped  bool
	receipts int
	failed   int
	seen     map[string]int // deliveries by ID
	owed     map[string]bool
}

func startLoad(t *testing.T, q engine.Queue) *load {
	l := &load{q: q, seen: make(map[string]int), owed: make(map[string]bool)}
	l.changed = sync.NewCond(&l.mu)
	l.wg.Go(func() { l.produce(t) })
	l.wg.Go(func() { l.consume(t) })
	return l
}

func (l *load) produce(t *testing.T) {
	var results sync.WaitGroup
	defer results.Wait()
	for i := 0; l.mayPut(); i++ {
		id := fmt.Sprint(i)
		results.Add(1)
		err := l.q.Put(t.Context(), engine.Message{ID: id, Frames: [][]byte{[]byte(id)}}, func(_ engine.Receipt, err error) {
			defer results.Done()
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil {
				l.failed++
				return
			}
			l.receipts++
			l.changed.Broadcast()
			if l.seen[id] == 0 {
				l.owed[id] = true
			}
		})
		if err != nil {
			t.Errorf("Put: %v", err)
			results.Done()
			return
		}
	}
}

// mayPut waits while the consumer is behind. It returns false when load ends.
func (l *load) mayPut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.owed) > maxOwed && !l.stopped {
		l.changed.Wait()
	}
	return !l.stopped
}

func (l *load) consume(t *testing.T) {
	for {
		jobs, err := l.q.Get(t.Context(), 32)
		if err != nil {
			return // closed
		}
		for _, j := range jobs {
			l.mu.Lock()
			l.seen[j.Message().ID]++
			delete(l.owed, j.Message().ID)
			l.changed.Broadcast()
			l.mu.Unlock()
			_ = j.Ack(t.Context()) // after an error it comes again
		}
	}
}

// await waits until there are n receipts more.
func (l *load) await(t *testing.T, n int) {
	t.Helper()
	stop := time.AfterFunc(patience, func() { l.mu.Lock(); l.changed.Broadcast(); l.mu.Unlock() })
	defer stop.Stop()
	end := time.Now().Add(patience)
	l.mu.Lock()
	defer l.mu.Unlock()
	for want := l.receipts + n; l.receipts < want; l.changed.Wait() {
		if time.Now().After(end) {
			t.Fatalf("%d receipts are missing after %v", want-l.receipts, patience)
		}
	}
}

// finish stops the producer, waits until the queue is empty, and checks that nothing
// is owed.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	l.stopped = true
	l.changed.Broadcast()
	l.mu.Unlock()
	awaitEmpty(t, l.q)
	l.mu.Lock()
	duplicates := 0
	for _, n := range l.seen {
		duplicates += n - 1
	}
	t.Logf("%d receipts, %d puts failed, %d deliveries were repeated", l.receipts, l.failed, duplicates)
	if len(l.owed) > 0 {
		t.Errorf("%d acknowledged messages are lost", len(l.owed))
	}
	l.mu.Unlock()
	if err := l.q.Close(); err != nil {
		t.Error(err)
	}
	l.wg.Wait()
}

// TestKill kills the server with SIGKILL under load, and starts it again on the
// same directory. Nothing that was acknowledged is lost, with each kind of sync: a
// killed process leaves what it wrote to the operating system.
func TestKill(t *testing.T) {
	t.Parallel()
	const kills, receipts = 5, 200
	for _, sync := range []time.Duration{0, time.Hour} {
		t.Run(fmt.Sprint("sync=", sync), func(t *testing.T) {
			cfg := embedded.Config{Dir: t.TempDir(), Listen: freeAddress(t), SyncEvery: sync}
			p := run(t, cfg)
			e, err := jetstream.Open(within(t), jetstream.Config{URL: p.url})
			if err != nil {
				t.Fatal(err)
			}
			l := startLoad(t, openQueue(t, e, "jobs", engine.QueueConfig{AckWait: 2 * time.Second, MaxDeliver: -1}))
			for range kills {
				l.await(t, receipts)
				p.kill()
				p = run(t, cfg)
			}
			l.await(t, receipts)
			l.finish(t)
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// cluster is three servers, each in a process.
type cluster struct {
	cfg  [3]embedded.Config
	node [3]*process
	url  string
}

func startCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{}
	var peers, urls []string
	for range c.cfg {
		peers = append(peers, freeAddress(t))
	}
	for i := range c.cfg {
		c.cfg[i] = embedded.Config{
			Dir: t.TempDir(), Listen: freeAddress(t),
			Cluster: &embedded.Cluster{Name: "test", Server: fmt.Sprint("node-", i), Listen: peers[i], Peers: peers},
		}
		urls = append(urls, "nats://"+c.cfg[i].Listen)
	}
	c.url = strings.Join(urls, ",")
	for i := range c.cfg {
		c.node[i] = run(t, c.cfg[i])
	}
	return c
}

// open opens an engine with three replicas, as soon as the cluster has a leader.
func (c *cluster) open(t testing.TB) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(within(t), jetstream.Config{URL: c.url, Replicas: 3, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// native connects to the cluster as another NATS program.
func (c *cluster) native(t testing.TB) natsjs.JetStream {
	t.Helper()
	return nativeAt(t, c.url)
}

// current waits until all replicas of a stream are, and returns its leader.
func current(t *testing.T, js natsjs.JetStream, stream string) string {
	t.Helper()
	for ctx := within(t); ; poll(ctx) {
		s, err := js.Stream(ctx, stream)
		if err == nil && s.CachedInfo().Cluster != nil && s.CachedInfo().Cluster.Leader != "" {
			up := 0
			for _, r := range s.CachedInfo().Cluster.Replicas {
				if r.Current && !r.Offline {
					up++
				}
			}
			if up == 2 {
				return s.CachedInfo().Cluster.Leader
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the replicas of %s are not current: %v", stream, err)
		}
	}
}

// TestClusterKill kills the leader of a queue under load, three times. Nothing
// that was acknowledged is lost.
func TestClusterKill(t *testing.T) {
	t.Parallel()
	const kills, receipts = 3, 200
	c := startCluster(t)
	js := c.native(t)
	e := c.open(t)
	if e.Guarantee() != engine.PowerLoss {
		t.Errorf("the engine claims %q", e.Guarantee())
	}
	q := openQueue(t, e, "jobs", engine.QueueConfig{AckWait: 2 * time.Second, MaxDeliver: -1})
	l := startLoad(t, q)
	for range kills {
		l.await(t, receipts)
		leader := current(t, js, "Q_jobs")
		for i := range c.node {
			if c.cfg[i].Cluster.Server == leader {
				t.Logf("killing %s", leader)
				c.node[i].kill()
				l.await(t, receipts) // from the two others
				c.node[i] = run(t, c.cfg[i])
			}
		}
	}
	current(t, js, "Q_jobs")
	l.await(t, receipts)
	l.finish(t)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestClusterEngine runs the contract with three replicas.
func TestClusterEngine(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	js := c.native(t)
	warm := c.open(t)
	if err := openQueue(t, warm, "jobs", engine.QueueConfig{}).Close(); err != nil { // the cluster has formed
		t.Fatal(err)
	}
	if err := warm.Close(); err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, enginetest.Suite{Open: func(t enginetest.TB) engine.Engine {
		e, err := jetstream.Open(t.Context(), jetstream.Config{URL: c.url, Replicas: 3, SyncAlways: true})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return &sweeping{Engine: e, js: js}
	}})
}

// TestLogKill kills the server while a log is read. The reading goes on with the
// restarted server: every acknowledged entry comes once, and in order.
func TestLogKill(t *testing.T) {
	t.Parallel()
	const kills, entries = 3, 100
	cfg := embedded.Config{Dir: t.TempDir(), Listen: freeAddress(t)}
	p := run(t, cfg)
	e, err := jetstream.Open(within(t), jetstream.Config{URL: p.url})
	if err != nil {
		t.Fatal(err)
	}
	l, err := e.Log(within(t), "log", engine.LogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan engine.Entry, entries)
	ctx, cancel := context.WithCancel(within(t))
	var wg sync.WaitGroup
	wg.Go(func() {
		last := uint64(0)
		for entry, err := range l.Read(ctx, 1, nil) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("Read: %v", err)
					cancel()
				}
				return
			}
			if entry.Pos != last+1 || entry.Lost != (engine.Range{}) {
				t.Errorf("got entry %d after %d, with %+v lost", entry.Pos, last, entry.Lost)
			}
			last = entry.Pos
			select {
			case read <- entry:
			case <-ctx.Done():
				return
			}
		}
	})
	for kill := range kills + 1 {
		for i := range entries {
			results := make(chan error, 1)
			body := fmt.Sprint(kill, "/", i)
			for { // until it has a receipt: an append has no ID and is not repeated by the engine
				err := l.Append(ctx, []byte("t"), [][]byte{[]byte(body)}, func(_ engine.Receipt, err error) { results <- err })
				if err != nil {
					t.Fatal(err)
				}
				if <-results == nil {
					break
				}
			}
			for string(receive(t, ctx, read).Frames[0]) != body { // an append without a receipt may be stored
			}
		}
		if kill < kills {
			p.kill()
			p = run(t, cfg)
		}
	}
	cancel()
	wg.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func receive(t *testing.T, ctx context.Context, from <-chan engine.Entry) engine.Entry {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-ctx.Done():
		t.Fatal("the entry was not read")
		return engine.Entry{}
	}
}
