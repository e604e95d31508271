package nearcache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/memcache"
)

// Cache keeps values of a client. New makes one.
type Cache struct {
	*core
	bound int64 // of staleness, in nanoseconds; 0: the server is always asked
}

// core is what a Cache and its views share.
type core struct {
	client *memcache.Client
	o      Options
	base   time.Time // the zero of the table's clock
	table  *state.Table
	ctx    context.Context // ends when the cache is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // the cache's goroutines

	fleet atomic.Pointer[fleet]
	mu    sync.Mutex // protects changes of fleet, and closed

	closed bool
}

// fleet is the servers at one version of the client's placement. It is immutable.
type fleet struct {
	version uint32
	servers map[string]*server
}

// New returns a cache for client, which it does not close. Nil opts selects all
// defaults. New asks every server for its invalidations until ctx ends at the latest,
// and returns an error that matches ErrNoInvalidations if one has none. A server that
// cannot be reached is no error: its values are kept once it can be. Values are kept
// as soon as the server's feed is followed, about half a second later.
func New(ctx context.Context, client *memcache.Client, opts *Options) (*Cache, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{client: client, o: o, base: time.Now()}
	c.table = state.NewTable(state.Config{MaxBytes: o.MaxBytes, MaxValue: o.MaxValue, Negative: int64(o.Negative), Mutants: o.mutants})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	f, err := c.current()
	if err == nil {
		err = c.probe(ctx, f)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &Cache{core: c, bound: int64(o.MaxStale)}, nil
}

// probe waits until every server has answered or failed once.
func (c *core) probe(ctx context.Context, f *fleet) error {
	for name, s := range f.servers {
		select {
		case <-s.probed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if s.unsupported.Load() && !c.o.TTLOnly {
			return &memcache.Error{Server: name, Err: ErrNoInvalidations}
		}
	}
	return nil
}

// Close ends the cache's goroutines. The client stays open. Later calls go to the
// servers.
func (c *core) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	f := c.fleet.Load()
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	if f != nil {
		for _, s := range f.servers {
			s.forget()
		}
	}
	return nil
}

// Client returns the client that New was given. Changes made through it are seen
// like those of other processes.
func (c *core) Client() *memcache.Client { return c.client }

// Within returns a view of the cache with another bound of staleness, at most that of
// Options.MaxStale. 0 asks the server at every read; a value that did not change is not
// transferred.
func (c *Cache) Within(maxStale time.Duration) *Cache {
	return &Cache{core: c.core, bound: int64(min(max(maxStale, 0), c.o.MaxStale))}
}

// now returns the time on the table's clock. Go's monotonic clock goes on while the
// process is stopped.
func (c *core) now() int64 { return int64(time.Since(c.base)) }

func hashOf(key string) uint64 { return xxhash.Sum64String(key) }

// current returns the fleet at the client's version of the placement. It starts and
// ends the goroutines of servers that came and left.
func (c *core) current() (*fleet, error) {
	if f := c.fleet.Load(); f != nil && f.version == c.client.FleetVersion() {
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	old := c.fleet.Load()
	version := c.client.FleetVersion() // before Servers: at worst it is asked for again
	if old != nil && old.version == version {
		return old, nil
	}
	f := &fleet{version: version, servers: make(map[string]*server)}
	for _, name := range c.client.Servers() {
		if old != nil && old.servers[name] != nil {
			f.servers[name] = old.servers[name]
		} else if f.servers[name] == nil {
			f.servers[name] = c.newServer(name)
		}
	}
	c.fleet.Store(f)
	if old != nil {
		for name, s := range old.servers {
			if f.servers[name] == nil {
				s.stop()
			}
		}
	}
	return f, nil
}

var errClosed = errors.New("nearcache: closed")

// SetServers is Client.SetServers. Values of keys whose server changed are dropped.
// That is so for changes that the client finds by itself, too.
func (c *core) SetServers(servers ...string) error {
	if err := c.client.SetServers(servers...); err != nil {
		return err
	}
	_, err := c.current()
	return err
}
