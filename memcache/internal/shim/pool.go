package shim

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// Selector is gomemcache's ServerSelector.
type Selector interface {
	PickServer(key string) (net.Addr, error)
	Each(func(net.Addr) error) error
}

// backoff bounds the time for which a failed server is not tried again. gomemcache tries
// at every call.
const backoff = 100 * time.Millisecond

// unused is how long a client of an address that the selector does not list stays.
const unused = time.Minute

// Pool has a client for each address.
type Pool struct {
	selector Selector
	options  func() *memcache.Options

	mu      sync.RWMutex // protects clients
	clients map[string]*client
}

// client is a client for one address, with a count of its users: calls, and the list.
type client struct {
	*memcache.Client
	users atomic.Int64
	used  atomic.Int64 // Unix time of the last call in seconds
}

func (c *client) release() {
	c.used.Store(time.Now().Unix())
	if c.users.Add(-1) == 0 {
		_ = c.Close()
	}
}

// NewPool returns a pool for the addresses of selector. options returns the settings of
// the client for a new address, of which the pool replaces those of addresses and
// protocol; Dial must be set.
func NewPool(selector Selector, options func() *memcache.Options) *Pool {
	return &Pool{selector: selector, options: options}
}

// client returns the client for an address. The caller releases it.
func (p *Pool) client(a net.Addr) (*client, error) {
	name := a.String()
	p.mu.RLock()
	c := p.clients[name]
	if c != nil {
		c.users.Add(1)
	}
	p.mu.RUnlock()
	if c == nil {
		var err error
		if c, err = p.add(a, name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add makes the client for a new address.
func (p *Pool) add(a net.Addr, name string) (*client, error) {
	listed := make(map[string]bool)
	_ = p.selector.Each(func(a net.Addr) error { listed[a.String()] = true; return nil })
	p.drop(unused, listed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[name]; c != nil {
		c.users.Add(1)
		return c, nil
	}
	o := p.options()
	dial := o.Dial
	o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := dial(ctx, a.Network(), name)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return nil, &ConnectTimeoutError{Addr: a}
		}
		return nc, err
	}
	o.Protocol, o.ResolveEvery, o.Resolver = memcache.ProtocolClassic, -1, fixed{}
	o.BackoffMin, o.BackoffMax = backoff/10, backoff
	if ours, ok := a.(*addr); ok && o.TLS != nil && o.TLS.ServerName == "" {
		o.TLS = o.TLS.Clone()
		o.TLS.ServerName = ours.host
	}
	spec := name
	if _, err := placement.ParseServer(spec); err != nil {
		// An address in another syntax, of which only Dial knows more.
		spec = "unix:/" + strings.Map(func(r rune) rune {
			if r == ':' || r == '=' {
				return '_'
			}
			return r
		}, name)
	}
	made, err := memcache.New(o, spec)
	if err != nil {
		return nil, err
	}
	c := &client{Client: made}
	c.users.Store(2)
	c.used.Store(time.Now().Unix())
	if p.clients == nil {
		p.clients = make(map[string]*client)
	}
	p.clients[name] = c
	return c, nil
}

// fixed resolves nothing: Dial has the address.
type fixed struct{}

func (fixed) LookupHost(_ context.Context, host string) ([]string, error) {
	return []string{host}, nil
}

// Key calls do with the client for the server of key.
func (p *Pool) Key(key string, do func(c *memcache.Client) error) error {
	a, err := p.selector.PickServer(key)
	if err != nil {
		return err
	}
	return p.at(a, do)
}

func (p *Pool) at(a net.Addr, do func(c *memcache.Client) error) error {
	c, err := p.client(a)
	if err != nil {
		return Adapt(err)
	}
	defer c.release()
	return Adapt(do(c.Client))
}

// Each calls do with the client for each server until one fails.
func (p *Pool) Each(do func(c *memcache.Client) error) error {
	return p.selector.Each(func(a net.Addr) error { return p.at(a, do) })
}

// Multi calls do concurrently with the client for each server of keys and its share of
// them. It returns the last error.
func (p *Pool) Multi(keys []string, do func(c *memcache.Client, keys []string) error) error {
	type share struct {
		addr net.Addr
		keys []string
	}
	shares := make(map[string]*share)
	for _, key := range keys {
		a, err := p.selector.PickServer(key)
		if err != nil {
			return err
		}
		s := shares[a.String()]
		if s == nil {
			s = &share{addr: a}
			shares[a.String()] = s
		}
		s.keys = append(s.keys, key)
	}
	errs := make(chan error, len(shares))
	for _, s := range shares {
		go func() {
			errs <- p.at(s.addr, func(c *memcache.Client) error { return do(c, s.keys) })
		}()
	}
	var last error
	for range shares {
		if err := <-errs; err != nil {
			last = err
		}
	}
	return last
}

// CloseIdle closes the connections of servers that no call used for the given time.
func (p *Pool) CloseIdle(after time.Duration) { p.drop(after, nil) }

// drop takes the clients out of the list that no call used for the given time, except
// those of keep.
func (p *Pool) drop(after time.Duration, keep map[string]bool) {
	var idle []*client
	p.mu.Lock()
	for name, c := range p.clients {
		if !keep[name] && time.Now().Unix()-c.used.Load() >= int64(after/time.Second) {
			delete(p.clients, name)
			idle = append(idle, c)
		}
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.release()
	}
}

// Close closes the connections after the calls in flight. The pool can be used again.
func (p *Pool) Close() {
	p.mu.Lock()
	clients := p.clients
	p.clients = nil
	p.mu.Unlock()
	for _, c := range clients {
		c.release()
	}
}

// Expiration converts gomemcache's expiration to a TTL: seconds up to 30 days, otherwise a
// Unix time.
func Expiration(seconds int32) time.Duration {
	const month = 30 * 24 * 60 * 60
	if seconds <= month {
		return time.Duration(seconds) * time.Second
	}
	left := time.Until(time.Unix(int64(seconds), 0))
	if left <= 0 {
		return -1
	}
	return left
}

// LegalKey reports whether gomemcache accepts key. The empty key is legal there, and an
// error of the server.
func LegalKey(key string) bool {
	return len(key) <= 250 && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f })
}
