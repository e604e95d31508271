package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache"
	"lintel.dev/memcache/placement"
	"lintel.dev/memcached"
)

// cluster is a fleet of Lintel servers with invented addresses, which the
// client reaches through Unix sockets. Every run therefore places its keys
// alike, and no other process can take over the port of a killed server.
type cluster struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	paths   map[string]string // of the servers that run, by address
	stops   map[string]func()
	started int
	killed  map[string]bool // now or ever
}

func newCluster(t *testing.T, servers []string) *cluster {
	c := &cluster{t: t, dir: peers.SocketDir(t), paths: map[string]string{}, stops: map[string]func(){}, killed: map[string]bool{}}
	for _, addr := range servers {
		c.start(addr)
	}
	return c
}

// start runs an empty server at addr.
func (c *cluster) start(addr string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	path := filepath.Join(c.dir, strconv.Itoa(c.started))
	_, c.stops[addr] = serveUntil(c.t, "unix", path, memcached.Options{Threads: 1, MemoryLimit: 8 << 20})
	c.paths[addr] = path
}

// kill breaks the connections of the server at addr and refuses new ones.
func (c *cluster) kill(addr string) {
	c.mu.Lock()
	delete(c.paths, addr)
	c.killed[addr] = true
	stop := c.stops[addr]
	c.mu.Unlock()
	stop()
}

func (c *cluster) wasKilled(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed[addr]
}

func (c *cluster) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	c.mu.Lock()
	path := c.paths[addr]
	c.mu.Unlock()
	if path == "" {
		return nil, syscall.ECONNREFUSED
	}
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

// culprits returns the servers that err, which may join several errors, comes
// from. ok is false if a part of it names no server.
func culprits(err error) (servers []string, ok bool) {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range joined.Unwrap() {
			more, ok := culprits(e)
			if !ok {
				return nil, false
			}
			servers = append(servers, more...)
		}
		return servers, true
	}
	var named *memcache.Error
	if !errors.As(err, &named) {
		return nil, false
	}
	return []string{named.Server}, true
}

const (
	fleetKeys    = 300
	fleetSample  = 20_000 // keys that shares are counted over
	fleetOwners  = 4      // each reads and writes its own share of the keys
	fleetReaders = 2      // read all keys, many at once
	fleetBatch   = 50
)

func fleetKey(i int) string { return fmt.Sprintf("fleet:key:%d", i) }

// load is traffic on a cluster. It knows which replies are correct.
type load struct {
	t       *testing.T
	cluster *cluster
	c       *memcache.Client
	// epoch is odd while the client's list of servers changes: two operations
	// of one even epoch went to the same server.
	epoch  atomic.Int64
	tried  [fleetKeys]atomic.Int64 // the highest revision that was sent
	misses atomic.Int64            // of the owners
	errs   atomic.Int64            // of all

	quit atomic.Bool
	wg   sync.WaitGroup
	mu   sync.Mutex
	turn sync.Cond
	laps []int // of each worker: how often it has visited all its keys
}

func startLoad(t *testing.T, cl *cluster, c *memcache.Client) *load {
	l := &load{t: t, cluster: cl, c: c, laps: make([]int, fleetOwners+fleetReaders)}
	l.turn.L = &l.mu
	ctx := guard(t)
	for w := range l.laps {
		l.wg.Go(func() {
			acked := make(map[int]ack)
			for !l.quit.Load() {
				if w < fleetOwners {
					for i := w; i < fleetKeys; i += fleetOwners {
						l.own(ctx, i, acked)
					}
				} else {
					for i := 0; i < fleetKeys; i += fleetBatch {
						l.readMany(ctx, i)
					}
				}
				l.mu.Lock()
				l.laps[w]++
				l.turn.Broadcast()
				l.mu.Unlock()
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) stop() {
	l.quit.Store(true)
	l.wg.Wait()
}

// settle returns when every worker has begun and finished a lap after the call.
func (l *load) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	goal := make([]int, len(l.laps))
	for w, n := range l.laps {
		goal[w] = n + 2
	}
	for w := range goal {
		for l.laps[w] < goal[w] {
			l.turn.Wait()
		}
	}
}

// change sets another list of servers on the client.
func (l *load) change(servers []string) {
	l.t.Helper()
	l.epoch.Add(1)
	if err := l.c.SetServers(servers...); err != nil {
		l.t.Error(err)
	}
	l.epoch.Add(1)
}

// ack is a revision that a server has accepted, and when.
type ack struct{ rev, epoch int64 }

// own reads a key that no other worker writes. It stores the key again if it is
// missing, and otherwise every third time.
func (l *load) own(ctx context.Context, i int, acked map[int]ack) {
	key, before := fleetKey(i), l.epoch.Load()
	it, err := l.c.Get(ctx, key)
	switch {
	case errors.Is(err, memcache.ErrCacheMiss):
		l.misses.Add(1)
	case err != nil:
		l.failed(err)
		return
	default:
		rev := l.check(key, i, it.Value)
		if a := acked[i]; a.epoch == before && before%2 == 0 && l.epoch.Load() == before && rev < a.rev {
			l.t.Errorf("%s has revision %d after %d was stored", key, rev, a.rev)
		}
		if (int64(i)+rev)%3 != 0 {
			return
		}
	}
	rev, before := l.tried[i].Add(1), l.epoch.Load()
	if err := l.c.Set(ctx, &memcache.Item{Key: key, Value: fmt.Appendf(nil, "%s=%d", key, rev)}); err != nil {
		l.failed(err)
	} else if before%2 == 0 && l.epoch.Load() == before {
		acked[i] = ack{rev, before}
	}
}

func (l *load) readMany(ctx context.Context, from int) {
	keys := make([]string, fleetBatch)
	for i := range keys {
		keys[i] = fleetKey(from + i)
	}
	items, err := l.c.GetMulti(ctx, keys)
	if err != nil {
		l.failed(err)
	}
	for i, key := range keys {
		if it := items[key]; it != nil {
			l.check(key, from+i, it.Value)
		}
	}
}

// check returns the revision of a value, and fails the test if it was never
// stored under the key.
func (l *load) check(key string, i int, value []byte) int64 {
	name, number, _ := strings.Cut(string(value), "=")
	rev, err := strconv.ParseInt(number, 10, 64)
	if name != key || err != nil || rev < 1 || rev > l.tried[i].Load() {
		l.t.Errorf("%s has the value %q", key, value)
	}
	return rev
}

// failed counts an error, which must be that of a killed server.
func (l *load) failed(err error) {
	l.errs.Add(1)
	servers, ok := culprits(err)
	if !ok {
		l.t.Errorf("an error without a server: %v", err)
	}
	for _, s := range servers {
		if !l.cluster.wasKilled(s) {
			l.t.Errorf("an error of a server that runs: %v", err)
		}
	}
}

// fleetMap returns the address on which a placement has each key of the sample.
func fleetMap(t *testing.T, s placement.Selector, servers []string, dead string) []string {
	t.Helper()
	var parsed []placement.Server
	for _, spec := range servers {
		p, err := placement.ParseServer(spec)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	picker, err := s.Place(parsed)
	if err != nil {
		t.Fatal(err)
	}
	var isDead func(int) bool
	if dead != "" {
		isDead = func(i int) bool { return servers[i] == dead }
	}
	where := make([]string, fleetSample)
	for i := range where {
		at := picker.Pick(fleetKey(i), isDead)
		if at < 0 {
			t.Fatalf("%s is placed nowhere", fleetKey(i))
		}
		where[i] = servers[at]
	}
	return where
}

// moved returns the share of keys that two maps have on different servers.
func moved(a, b []string) float64 {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}

// within fails the test unless a share of keys is in the expected range.
func within(t *testing.T, what string, share, low, high float64) {
	t.Helper()
	if share < low || share > high {
		t.Errorf("%s: %.3f of the keys moved, expected %.3f to %.3f", what, share, low, high)
	}
}

// manners is how many keys a placement moves when one of n servers joins or
// leaves.
type manners int

const (
	modulo     manners = iota // nearly everything, either way
	jumping                   // 1/n when the last one joins
	consistent                // 1/n, for any server
	lumpy                     // the same, but FNV spreads keys that end alike poorly
)

// nearly returns the accepted range for a share of 1/n.
func (m manners) nearly(n float64) (low, high float64) {
	if m == lumpy {
		return 0.5 / n, 1.5 / n
	}
	return 0.85 / n, 1.15 / n
}

var fleetManners = map[string]manners{
	"rendezvous": consistent, "pymemcache": consistent, "ketama": consistent, "libmemcached-ketama": consistent,
	"twemproxy": lumpy, "spymemcached-ketama": consistent, "dalli": consistent,
	"memcached-proxy": jumping, "dskit": jumping,
	"gomemcache": modulo, "python-memcached": modulo, "libmemcached": modulo, "twemproxy-modula": modulo, "spymemcached": modulo,
}

// TestFleet adds, kills and replaces some of sixteen servers under load. No
// value may be wrong, no error may come from a running server, and the only
// misses are those of keys that the placement moves.
func TestFleet(t *testing.T) {
	for _, name := range placement.Names() {
		t.Run(name, func(t *testing.T) {
			how, ok := fleetManners[name]
			if !ok {
				t.Fatalf("the placement %s has no expectations in this test", name)
			}
			selector, err := placement.New(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("list", func(t *testing.T) { fleetByList(t, selector, how) })
			t.Run("failover", func(t *testing.T) { fleetByFailover(t, selector, how) })
		})
	}
}

func fleetServers(n int) []string {
	servers := make([]string, n)
	for i := range servers {
		servers[i] = fmt.Sprintf("10.0.0.%d:11211", i+1)
	}
	return servers
}

func fleetClient(t *testing.T, cl *cluster, s placement.Selector, f memcache.Failover, servers []string) *memcache.Client {
	t.Helper()
	c, err := memcache.New(patient(&memcache.Options{
		Selector: s, Failover: f, Dial: cl.dial,
		// A server that was down is not tried again.
		BackoffMin: time.Hour, BackoffMax: time.Hour,
	}), servers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func fleetByList(t *testing.T, selector placement.Selector, how manners) {
	all := fleetServers(17)
	sixteen, victim := all[:16], all[5]
	cl := newCluster(t, sixteen)
	l := startLoad(t, cl, fleetClient(t, cl, selector, memcache.FailError, sixteen))

	held := make([]map[string]bool, fleetKeys) // the servers that have a key, in any revision
	for i := range held {
		held[i] = map[string]bool{}
	}
	var misses, errs int64
	// arrive is called after the load has settled on where. A worker that read
	// a key before the change and stored it after had no miss.
	arrive := func(what string, where []string) {
		t.Helper()
		l.settle()
		want := int64(0)
		for i := range min(fleetKeys, len(where)) {
			if addr := where[i]; !held[i][addr] {
				want++
				held[i][addr] = true
			}
		}
		got := l.misses.Load() - misses
		misses += got
		if got > want || got < want-fleetOwners {
			t.Errorf("%s: %d misses, the placement makes it %d", what, got, want)
		}
	}
	calm := func(what string) {
		t.Helper()
		if n := l.errs.Load() - errs; n != 0 {
			t.Errorf("%s: %d errors", what, n)
		}
	}

	at16 := fleetMap(t, selector, sixteen, "")
	arrive("start", at16)

	cl.start(all[16])
	at17 := fleetMap(t, selector, all, "")
	l.change(all)
	arrive("one more", at17)
	calm("one more")
	low, high := how.nearly(17)
	if how == modulo {
		low, high = 0.92, 0.96
	}
	within(t, "one more", moved(at16, at17), low, high)

	cl.kill(victim)
	l.settle()
	errs = l.errs.Load()
	arrive("one killed", nil)
	if l.errs.Load() == errs {
		t.Error("no error after a server was killed")
	}

	left := append(append([]string(nil), all[:5]...), all[6:]...)
	without := fleetMap(t, selector, left, "")
	for i := range held {
		delete(held[i], victim)
	}
	l.change(left)
	arrive("one taken out", without)
	errs = l.errs.Load()
	l.settle()
	calm("one taken out")
	if how != jumping {
		within(t, "one taken out", moved(at17, without), low, high)
	}

	cl.start(victim)
	l.change(all)
	arrive("one back, empty", at17)
	calm("one back, empty")
	l.stop()
}

// fleetByFailover kills a server that stays on the list. Its keys go where the
// placement's rule for dead servers puts them.
func fleetByFailover(t *testing.T, selector placement.Selector, how manners) {
	servers := fleetServers(16)
	victim := servers[5]
	cl := newCluster(t, servers)
	l := startLoad(t, cl, fleetClient(t, cl, selector, memcache.FailNext, servers))
	l.settle()
	before := fleetMap(t, selector, servers, "")
	after := fleetMap(t, selector, servers, victim)
	if got := l.misses.Load(); got != fleetKeys {
		t.Errorf("%d misses of %d keys at the start", got, fleetKeys)
	}

	cl.kill(victim)
	l.settle()
	errs := l.errs.Load()
	l.settle()
	if n := l.errs.Load() - errs; n != 0 {
		t.Errorf("%d errors after the load had moved", n)
	}
	want := int64(0)
	for i := range fleetKeys {
		if before[i] != after[i] {
			want++
		}
	}
	if got := l.misses.Load() - fleetKeys; got > want || got < want-fleetOwners {
		t.Errorf("%d misses, the placement makes it %d", got, want)
	}
	if how == consistent || how == lumpy {
		low, high := how.nearly(16)
		within(t, "one dead", moved(before, after), low, high)
	}
	l.stop()
}
