// Package memcache has the API of github.com/grafana/gomemcache/memcache, which Mimir,
// Loki, Tempo and Thanos use, on the client of lintel.dev/memcache. A program switches by
// changing an import.
//
// It differs from package gomemcache as the two originals differ: options and allocators
// for values, DialTimeout and ConnectTimeout, a context for GetMulti, and idle
// connections that are closed. Concurrent calls share one connection to each server, so
// that MaxIdleConns has no effect. The fields of Client are read when the first
// connection to a server is made.
//
// Client.mu protects closed. A goroutine for each client, which Close ends, closes idle
// connections.
//
// # Examples
//
// Example in example_test.go reads values into buffers of an allocator.
package memcache

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	lintel "lintel.dev/memcache"
	"lintel.dev/memcache/internal/shim"
)

// The errors of gomemcache.
var (
	// ErrCacheMiss: there is no item under the key.
	ErrCacheMiss = shim.ErrCacheMiss
	// ErrCASConflict: the item changed since it was read.
	ErrCASConflict = shim.ErrCASConflict
	// ErrNotStored: the condition of Add, Replace, Append or Prepend is not met.
	ErrNotStored = shim.ErrNotStored
	// ErrServerError: the server answered with an error.
	ErrServerError = shim.ErrServerError
	// ErrNoStats is never returned.
	ErrNoStats = shim.ErrNoStats
	// ErrMalformedKey: the key has more than 250 bytes, a space or a control character.
	ErrMalformedKey = shim.ErrMalformedKey
	// ErrNoServers: the selector has no servers.
	ErrNoServers = shim.ErrNoServers
)

// ConnectTimeoutError is returned if connecting to a server took longer than
// Client.ConnectTimeout. Addr is the server's address.
type ConnectTimeoutError = shim.ConnectTimeoutError

const (
	// DefaultTimeout is the default of Client.Timeout and Client.ConnectTimeout.
	DefaultTimeout = 100 * time.Millisecond
	// DefaultMaxIdleConns has no effect.
	DefaultMaxIdleConns = 2
)

const (
	idleCheck = time.Minute     // interval of closing idle connections
	idleAfter = 2 * time.Minute // since the last call
)

// Item is an item of a server. Reads remember the version for CompareAndSwap.
type Item struct {
	// Key is at most 250 bytes without spaces and control characters.
	Key string
	// Value is the value of the item.
	Value []byte
	// Flags are stored with the value.
	Flags uint32
	// Expiration is in seconds up to 30 days, otherwise a Unix time. 0 is unlimited.
	Expiration int32

	casid uint64
}

// Allocator provides the memory for values that are read.
type Allocator interface {
	// Get returns a slice of any length with a capacity of at least sz bytes.
	Get(sz int) *[]byte
	// Put takes back a slice whose value is not returned to the caller.
	Put(b *[]byte)
}

// Options are the settings of one call of Get or GetMulti.
type Options struct {
	// Alloc provides the memory for values. By default it is allocated for each value.
	Alloc Allocator
}

// Option changes Options.
type Option func(opts *Options)

// WithAllocator returns an Option that sets the allocator.
func WithAllocator(alloc Allocator) Option {
	return func(opts *Options) { opts.Alloc = alloc }
}

func newOptions(opts []Option) *Options {
	o := new(Options)
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// item converts an item that was read.
func (o *Options) item(it *lintel.Item) *Item {
	value := it.Value
	if o.Alloc != nil {
		value = append((*o.Alloc.Get(len(it.Value)))[:0], it.Value...)
	}
	return &Item{Key: it.Key, Value: value, Flags: it.Flags, casid: it.CAS}
}

// ServerSelector chooses the server for a key. It must be safe for concurrent use.
type ServerSelector interface {
	// PickServer returns the address of the server for key.
	PickServer(key string) (net.Addr, error)
	// Each calls a function for each server until it returns an error.
	Each(func(net.Addr) error) error
}

// ServerList is the ServerSelector of New. The zero value is an empty list.
type ServerList struct{ list shim.List }

// SetServers replaces the servers, each "host:port" or the path of a unix socket. A server
// that is given twice gets twice the keys. It resolves the names. If that fails, it
// returns the error and changes nothing.
func (s *ServerList) SetServers(servers ...string) error { return s.list.SetServers(servers...) }

// PickServer returns the server for key, or ErrNoServers.
func (s *ServerList) PickServer(key string) (net.Addr, error) { return s.list.PickServer(key) }

// Each calls f for each server until f returns an error, and returns it.
func (s *ServerList) Each(f func(net.Addr) error) error { return s.list.Each(f) }

// ResolveServers resolves server addresses, each "host:port" or the path of a unix socket.
func ResolveServers(servers []string) ([]net.Addr, error) { return shim.Resolve(servers) }

// Client is a client for the servers of a selector. Its methods are safe for concurrent
// use. New or NewFromSelector makes one.
type Client struct {
	// DialTimeout makes connections. Nil is net.DialTimeout.
	DialTimeout func(network, address string, timeout time.Duration) (net.Conn, error)
	// Timeout bounds writing and reading, each. 0 is DefaultTimeout.
	Timeout time.Duration
	// ConnectTimeout bounds connecting. 0 is DefaultTimeout.
	ConnectTimeout time.Duration
	// MinIdleConnsHeadroomPercentage, if negative, keeps idle connections open. Otherwise
	// the connection to a server is closed when no call used it for two minutes.
	MinIdleConnsHeadroomPercentage float64
	// MaxIdleConns has no effect: one connection to each server carries all requests.
	MaxIdleConns int

	pool   *shim.Pool
	mu     sync.Mutex // protects closed
	closed chan struct{}
}

// New returns a client for the servers, each "host:port" or the path of a unix socket. If
// one of them does not resolve, the client has no servers.
func New(server ...string) *Client {
	list := new(ServerList)
	_ = list.SetServers(server...)
	return NewFromSelector(list)
}

// NewFromSelector returns a client for the servers of ss.
func NewFromSelector(ss ServerSelector) *Client {
	c := &Client{closed: make(chan struct{})}
	c.pool = shim.NewPool(ss, c.options)
	go c.closeIdle()
	return c
}

func (c *Client) options() *lintel.Options {
	bound := func(d time.Duration) time.Duration {
		if d <= 0 {
			d = DefaultTimeout
		}
		return max(d, time.Millisecond)
	}
	timeout, connect := bound(c.Timeout), bound(c.ConnectTimeout)
	dial := c.DialTimeout
	if dial == nil {
		dial = net.DialTimeout
	}
	return &lintel.Options{
		Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			return dial(network, address, connect)
		},
		// The dial function has the timeout; this one is for functions that ignore it.
		DialTimeout: 2 * connect, QueueTimeout: 2*connect + timeout, WriteTimeout: timeout, ReadTimeout: timeout,
	}
}

// closeIdle closes the connections of servers that no call used lately.
func (c *Client) closeIdle() {
	t := time.NewTicker(idleCheck)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if c.MinIdleConnsHeadroomPercentage >= 0 {
				c.pool.CloseIdle(idleAfter)
			}
		case <-c.closed:
			return
		}
	}
}

// Close closes the connections after the calls in flight, and ends the client's
// goroutine.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	c.pool.Close()
}

var background = context.Background()

// key calls do with the client for the server of key.
func (c *Client) key(key string, do func(*lintel.Client) error) error {
	if !shim.LegalKey(key) {
		return ErrMalformedKey
	}
	return c.pool.Key(key, do)
}

// Get returns the item under key, or ErrCacheMiss.
func (c *Client) Get(key string, opts ...Option) (got *Item, err error) {
	err = c.key(key, func(cl *lintel.Client) error {
		it, err := cl.Get(background, key)
		if err == nil {
			got = newOptions(opts).item(it)
		}
		return err
	})
	return got, err
}

// GetMulti returns the items found, by key. With an error of a server it returns the items
// of the others. For a malformed key it returns nil and ErrMalformedKey. If ctx ends, it
// returns nil and the error of ctx.
func (c *Client) GetMulti(ctx context.Context, keys []string, opts ...Option) (map[string]*Item, error) {
	ended := func() error { return fmt.Errorf("memcache GetMulti: %w", ctx.Err()) }
	if ctx.Err() != nil {
		return nil, ended()
	}
	for _, key := range keys {
		if !shim.LegalKey(key) {
			return nil, ErrMalformedKey
		}
	}
	var mu sync.Mutex // protects found
	var found []*lintel.Item
	err := c.pool.Multi(keys, func(cl *lintel.Client, keys []string) error {
		items, err := cl.GetMulti(ctx, keys)
		mu.Lock()
		defer mu.Unlock()
		for _, it := range items {
			found = append(found, it)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil, ended()
	}
	o, out := newOptions(opts), make(map[string]*Item, len(found))
	for _, it := range found {
		out[it.Key] = o.item(it)
	}
	return out, err
}

func (c *Client) store(it *Item, do func(*lintel.Client, context.Context, *lintel.Item) error) error {
	return c.key(it.Key, func(cl *lintel.Client) error {
		return do(cl, background, &lintel.Item{Key: it.Key, Value: it.Value, Flags: it.Flags, TTL: shim.Expiration(it.Expiration), CAS: it.casid})
	})
}

// Set stores the item unconditionally.
func (c *Client) Set(item *Item) error { return c.store(item, (*lintel.Client).Set) }

// Add stores the item if there is none under its key, or returns ErrNotStored.
func (c *Client) Add(item *Item) error { return c.store(item, (*lintel.Client).Add) }

// Replace stores the item if there is one under its key, or returns ErrNotStored.
func (c *Client) Replace(item *Item) error { return c.store(item, (*lintel.Client).Replace) }

// CompareAndSwap stores the item if it did not change since it was read. It returns
// ErrCASConflict if it changed, and ErrCacheMiss if it is gone, as gomemcache does.
func (c *Client) CompareAndSwap(item *Item) error {
	return c.store(item, (*lintel.Client).CompareAndSwap)
}

// Delete removes the item, or returns ErrCacheMiss.
func (c *Client) Delete(key string) error {
	return c.key(key, func(cl *lintel.Client) error { return cl.Delete(background, key) })
}

// DeleteAll removes every item of every server.
func (c *Client) DeleteAll() error { return c.FlushAll() }

// FlushAll removes every item of every server.
func (c *Client) FlushAll() error {
	return c.pool.Each(func(cl *lintel.Client) error { return cl.FlushAll(background) })
}

// Ping returns an error if a server does not answer.
func (c *Client) Ping() error {
	return c.pool.Each(func(cl *lintel.Client) error { return cl.Ping(background) })
}

// Touch sets the item's expiration, or returns ErrCacheMiss.
func (c *Client) Touch(key string, seconds int32) error {
	return c.key(key, func(cl *lintel.Client) error { return cl.Touch(background, key, shim.Expiration(seconds)) })
}

// Increment adds delta to a decimal number, which wraps at 2^64, and returns the sum.
func (c *Client) Increment(key string, delta uint64) (newValue uint64, err error) {
	err = c.key(key, func(cl *lintel.Client) error {
		newValue, err = cl.Increment(background, key, delta)
		return err
	})
	return newValue, err
}

// Decrement subtracts delta from a decimal number, which is 0 at least, and returns the
// difference.
func (c *Client) Decrement(key string, delta uint64) (newValue uint64, err error) {
	err = c.key(key, func(cl *lintel.Client) error {
		newValue, err = cl.Decrement(background, key, delta)
		return err
	})
	return newValue, err
}
