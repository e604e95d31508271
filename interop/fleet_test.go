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
	"lintel.dev/memcached"
)

// cluster is a fleet of our servers whose addresses are made up, so that every
// run places its keys alike, and whose ports nobody can take over once a server
// is killed: the client reaches them by unix sockets.
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

// culprits are the servers that err, which may join several, comes from; ok is
// false when a part of it names none.
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
	var named *memcache.ServerError
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

// load is traffic on a cluster that knows what every answer may be.
type load struct {
	t       *testing.T
	cluster *cluster
	c       *memcache.Client
	// epoch is odd while the client's list of servers changes: two operations
	// of one even epoch went to the same server.
	epoch  atomic.Int64
	tried  [fleetKeys]atomic.Int64 // the highest revision sent ever
	misses atomic.Int64            // of the owners
	errs   atomic.Int64            // of all

	quit atomic.Bool
	wg   sync.WaitGroup
	mu   sync.Mutex
	turn sync.Cond
	laps []int // of each worker: how often it went through its keys
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

// settle returns once every worker has begun and ended a lap after the call.
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

// change gives the client another list of servers.
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

// own reads a key that nobody else writes and stores it anew if it is missing,
// and else every third time.
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

// check returns the revision of a value, which must be one that was stored
// under the key.
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

// fleetMap says where a placement has each key of the sample, by address.
func fleetMap(t *testing.T, s memcache.Selector, servers []string, dead string) []string {
	t.Helper()
	var parsed []memcache.Server
	for _, spec := range servers {
		p, err := memcache.ParseServer(spec)
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

// moved is the share of keys that two maps have in different places.
func moved(a, b []string) float64 {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return float64(n) / float64(len(a))
}

// within fails unless a share of keys is near what theory says.
func within(t *testing.T, what string, share, low, high float64) {
	t.Helper()
	if share < low || share > high {
		t.Errorf("%s: %.3f of the keys moved, expected %.3f to %.3f", what, share, low, high)
	}
}

// manners says how much of a placement moves when one of n servers joins or
// leaves.
type manners int

const (
	modulo     manners = iota // nearly everything, either way
	jumping                   // 1/n when the last one joins
	consistent                // 1/n, whichever it is
	lumpy                     // the same, but FNV spreads keys that end alike poorly
)

// nearly is the range for a share of 1/n.
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

// TestFleet: sixteen servers of which some are added, killed and replaced under
// load. No value is ever wrong, no error comes from a server that runs, and the
// misses are those of the keys that the placement moves.
func TestFleet(t *testing.T) {
	for _, name := range memcache.Placements() {
		t.Run(name, func(t *testing.T) {
			how, ok := fleetManners[name]
			if !ok {
				t.Fatalf("nothing is known of the placement %s", name)
			}
			selector, err := memcache.Placement(name)
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

func fleetClient(t *testing.T, cl *cluster, s memcache.Selector, f memcache.Failover, servers []string) *memcache.Client {
	t.Helper()
	c, err := memcache.New(patient(&memcache.Options{
		Selector: s, Failover: f, Dial: cl.dial,
		// No server that was seen to be down is tried again.
		BackoffMin: time.Hour, BackoffMax: time.Hour,
	}), servers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func fleetByList(t *testing.T, selector memcache.Selector, how manners) {
	all := fleetServers(17)
	sixteen, victim := all[:16], all[5]
	cl := newCluster(t, sixteen)
	l := startLoad(t, cl, fleetClient(t, cl, selector, memcache.FailError, sixteen))

	held := make([]map[string]bool, fleetKeys) // the servers that have a key, in whatever revision
	for i := range held {
		held[i] = map[string]bool{}
	}
	var misses, errs int64
	// arrive is called once the load has settled on where. A worker may have
	// read a key before the change and stored it after: then it missed nothing.
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
		t.Error("a killed server costs nothing")
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

// fleetByFailover kills a server that stays on the list: its keys go where the
// placement's own rule for dead servers puts them.
func fleetByFailover(t *testing.T, selector memcache.Selector, how manners) {
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
		t.Errorf("%d errors when the load had moved over", n)
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
