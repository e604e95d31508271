package memcache

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/memcache/discovery"
	"lintel.dev/memcache/placement"
)

// Client is a client for one fleet. New, Discover and Follow make one.
type Client struct {
	opts   *Options
	ctx    context.Context // ends when the client is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // the client's goroutines

	fleet  atomic.Pointer[fleet]
	gutter *fleet
	loads  singleflight
	calls  sync.Pool // of *pipeline.Call

	mu     sync.Mutex // protects changes of fleet, and closed
	closed bool

	version atomic.Uint32 // of fleet: counts its changes
}

// fleet is a list of servers and the placement over them. It is immutable.
type fleet struct {
	servers []*server
	picker  placement.Picker
	dead    func(int) bool // reports whether requests to a server would fail at once
}

// New returns a client for the servers, each in the syntax of
// [placement.ParseServer]: "host[:port[:weight]][=name]", or the same with the path of
// a unix socket. Nil opts selects all defaults. The client connects to a server at the
// first call that needs it.
func New(opts *Options, servers ...string) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{opts: o}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.gutter, err = c.newFleet(nil, o.Gutter); err != nil && len(o.Gutter) > 0 {
		c.cancel()
		return nil, err
	}
	if err := c.SetServers(servers...); err != nil {
		c.cancel()
		return nil, err
	}
	if o.ResolveEvery > 0 {
		c.wg.Go(c.resolveLoop)
	}
	return c, nil
}

// Discover asks the server at addr for its fleet ([discovery.Cluster], over a
// connection as opts says) and returns a client for it, which follows changes as
// Follow does.
func Discover(ctx context.Context, addr string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	spec, err := placement.ParseServer(addr)
	if err != nil {
		return nil, err
	}
	cluster := discovery.Cluster(o.dialer(spec).OpenConn)
	src := discovery.Func(func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, o.DialTimeout+o.ReadTimeout)
		defer cancel()
		servers, err := cluster.Servers(ctx)
		if err != nil {
			return nil, &Error{Server: spec.Addr(), Err: err}
		}
		return servers, nil
	})
	return Follow(ctx, src, 0, opts)
}

// Follow returns a client for the servers that src names, and asks src again every so
// often: every 0 is one minute, negative never. While src fails or names no server,
// the fleet stays as it is. ctx bounds the first question only.
func Follow(ctx context.Context, src discovery.Source, every time.Duration, opts *Options) (*Client, error) {
	servers, err := src.Servers(ctx)
	if err != nil {
		return nil, err
	}
	c, err := New(opts, servers...)
	if err != nil {
		return nil, err
	}
	if every == 0 {
		every = time.Minute
	}
	if every > 0 {
		c.wg.Go(func() { c.follow(src, every, servers) })
	}
	return c, nil
}

func (c *Client) follow(src discovery.Source, every time.Duration, last []string) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout+c.opts.ReadTimeout)
		servers, err := src.Servers(ctx)
		cancel()
		if err != nil || len(servers) == 0 || strings.Join(servers, ",") == strings.Join(last, ",") {
			continue
		}
		if c.SetServers(servers...) == nil {
			last = servers
		}
	}
}

// resolveLoop resolves host names again and again.
func (c *Client) resolveLoop() {
	t := time.NewTicker(c.opts.ResolveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return
		}
		for _, s := range c.fleet.Load().servers {
			s.reresolve(c.ctx)
		}
	}
}

// newFleet makes a fleet. It takes over the servers of old that did not change.
func (c *Client) newFleet(old *fleet, specs []string) (*fleet, error) {
	if len(specs) == 0 {
		return nil, ErrNoServers
	}
	parsed := make([]placement.Server, len(specs))
	for i, spec := range specs {
		s, err := placement.ParseServer(spec)
		if err != nil {
			return nil, err
		}
		parsed[i] = s
	}
	picker, err := c.opts.Selector.Place(parsed)
	if err != nil {
		return nil, err
	}
	kept := make(map[placement.Server]*server)
	if old != nil {
		for _, s := range old.servers {
			kept[s.Server] = s
		}
	}
	f := &fleet{picker: picker}
	for _, p := range parsed {
		s := kept[p]
		if s == nil {
			s = newServer(p, c.opts, c.ctx, &c.wg)
			kept[p] = s
		}
		f.servers = append(f.servers, s)
	}
	f.dead = func(i int) bool { return f.servers[i].dead() }
	return f, nil
}

// SetServers replaces the servers of the fleet. Servers that stay keep their
// connections. Those that leave answer the requests in flight first.
func (c *Client) SetServers(servers ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	old := c.fleet.Load()
	f, err := c.newFleet(old, servers)
	if err != nil {
		return err
	}
	c.fleet.Store(f)
	c.version.Add(1)
	if old != nil {
		staying := make(map[*server]bool)
		for _, s := range f.servers {
			staying[s] = true
		}
		for _, s := range old.servers {
			if !staying[s] {
				s.retire()
			}
		}
	}
	return nil
}

// Servers returns the addresses of the servers in the order of the configuration.
func (c *Client) Servers() []string {
	f := c.fleet.Load()
	names := make([]string, len(f.servers))
	for i, s := range f.servers {
		names[i] = s.name
	}
	return names
}

// ServerFor returns the address of the server on which key is placed, whether or not
// the server can be reached.
func (c *Client) ServerFor(key string) string {
	f := c.fleet.Load()
	i := f.picker.Pick(key, nil)
	if i < 0 {
		return ""
	}
	return f.servers[i].name
}

// FleetVersion returns a number that SetServers, and a change that Follow or Discover
// noticed, has raised by the time it returns. As long as it stays the same, so does
// ServerFor.
func (c *Client) FleetVersion() uint32 { return c.version.Load() }

// Close closes the connections, fails the calls in flight with ErrClosed and waits for
// the client's goroutines. These include load functions of Fetch, whose contexts end.
// Later calls return ErrClosed. Closing a client again does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	for _, s := range c.fleet.Load().servers {
		s.close()
	}
	if c.gutter != nil {
		for _, s := range c.gutter.servers {
			s.close()
		}
	}
	c.wg.Wait()
	return nil
}
