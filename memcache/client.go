// Package memcache is a client for fleets of memcached servers.
//
// A [Client] keeps one connection to each server, which carries the requests
// of every goroutine: concurrent calls share writes and reads without anybody
// asking for it, and a lone one does its own. It speaks the meta protocol, in
// which every reply names its request, and falls back to the classic one.
//
// # Two stages
//
// A [Selector] takes a key to a server, the server takes it to a value.
// [Placement] has the rules of the clients that other languages use, bit for
// bit, so that a fleet can be shared with them.
//
// # Concurrency
//
// All methods of a Client are safe for concurrent use. Every call takes a
// context; when it ends, the call returns at once and the reply, should it
// still come, is dropped by the connection. A connection whose reply does not
// fit its request is closed, and no caller sees the reply.
//
// # Failure
//
// Errors that are answers ([ErrCacheMiss], [ErrNotStored], [ErrCASConflict])
// are returned as they are; errors of the way to a server are wrapped in a
// [ServerError]. A request that never left is sent again; one that may have
// been carried out is sent again only if it reads or, where [FailNext] or
// [FailGutter] say that requests may go elsewhere, if it sets or deletes.
package memcache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Client is a client for one fleet. Make one with New or Discover.
type Client struct {
	opts   *Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	fleet  atomic.Pointer[fleet]
	gutter *fleet
	flight flight
	calls  sync.Pool // of *call

	mu     sync.Mutex // protects changes of fleet, and closed
	closed bool
}

// fleet is a set of servers and the placement over them. It is never modified.
type fleet struct {
	servers []*server
	picker  Picker
	dead    func(int) bool
}

// New returns a client for the servers, each as [ParseServer] takes it. Nil opts
// are all defaults. Nothing is connected before the first call.
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

// newFleet makes a fleet, taking over the servers of old whose configuration
// is unchanged.
func (c *Client) newFleet(old *fleet, specs []string) (*fleet, error) {
	if len(specs) == 0 {
		return nil, ErrNoServers
	}
	parsed := make([]Server, len(specs))
	for i, spec := range specs {
		s, err := ParseServer(spec)
		if err != nil {
			return nil, err
		}
		parsed[i] = s
	}
	picker, err := c.opts.Selector.Place(parsed)
	if err != nil {
		return nil, err
	}
	kept := make(map[Server]*server)
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

// SetServers replaces the fleet. Servers that stay keep their connections;
// those that go answer what is in flight before theirs are closed.
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

// Servers returns the addresses of the fleet in configured order.
func (c *Client) Servers() []string {
	f := c.fleet.Load()
	names := make([]string, len(f.servers))
	for i, s := range f.servers {
		names[i] = s.name
	}
	return names
}

// ServerFor returns the address of the server that key is placed on, whether
// or not that server can be reached.
func (c *Client) ServerFor(key string) string {
	f := c.fleet.Load()
	i := f.picker.Pick(key, nil)
	if i < 0 {
		return ""
	}
	return f.servers[i].name
}

// Close breaks the connections, fails the calls in flight with ErrClosed and
// waits for the client's goroutines, load functions of Fetch included, whose
// contexts end. Calls after it return ErrClosed.
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

// maxMoves bounds how often a call follows a fleet that changes under it.
const maxMoves = 8

// do sends cl to the server of its key under the failover policy.
func (c *Client) do(ctx context.Context, cl *call) error {
	var err error
	if cl.encoded, err = c.opts.checkKey(cl.key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for range maxMoves {
		f := c.fleet.Load()
		var dead func(int) bool
		if c.opts.Failover == FailNext {
			dead = f.dead
		}
		i := f.picker.Pick(cl.key, dead)
		if i < 0 {
			return ErrNoServers
		}
		err := f.servers[i].roundTrip(ctx, cl)
		if err == nil || err == ErrCacheMiss {
			return err
		}
		if errors.Is(err, errUnsent) {
			if c.ctx.Err() != nil {
				return ErrClosed
			}
			continue
		}
		if c.opts.Failover != FailError && isDown(err) {
			return c.failover(ctx, cl, f, i, err)
		}
		return err
	}
	return ErrConnLost
}

// failover answers a call whose server failed with err.
func (c *Client) failover(ctx context.Context, cl *call, f *fleet, failed int, err error) error {
	switch c.opts.Failover {
	case FailMiss:
		switch cl.op {
		case opGet, opGetInto, opLease:
			return ErrCacheMiss
		}
	case FailNext:
		var ended bool
		if ended, err = f.servers[failed].again(ctx, cl, err); ended {
			return err
		}
		next := f.picker.Pick(cl.key, func(i int) bool { return i == failed || f.dead(i) })
		if next >= 0 {
			return f.servers[next].roundTrip(ctx, cl)
		}
	case FailGutter:
		var ended bool
		if ended, err = f.servers[failed].again(ctx, cl, err); ended {
			return err
		}
		limit := wireTTL(c.opts.GutterTTL, time.Now)
		switch {
		case cl.op == opStore && cl.mode != modeCAS && (cl.ttl == 0 || cl.ttl > limit):
			cl.ttl = limit
		case cl.touch, cl.op == opTouch:
			if cl.ttl == 0 || cl.ttl > limit {
				cl.ttl = limit
			}
		}
		if i := c.gutter.picker.Pick(cl.key, nil); i >= 0 {
			return c.gutter.servers[i].roundTrip(ctx, cl)
		}
	}
	return err
}

// again sends cl to its server once more when the connection broke under it and
// the server may be well: what it did not get must not go elsewhere. It tells
// whether that ended the matter, because there is an answer or because what may
// have been carried out must not be asked for twice.
func (s *server) again(ctx context.Context, cl *call, err error) (ended bool, result error) {
	if !cl.sent || cl.idempotent() {
		return false, err
	}
	if !cl.repeatable() {
		return true, err
	}
	if errors.Is(err, ErrConnLost) {
		err = s.roundTrip(ctx, cl)
	}
	return err == nil || !isDown(err), err
}
