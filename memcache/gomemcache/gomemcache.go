// Package memcache has the API of github.com/bradfitz/gomemcache/memcache on the client
// of lintel.dev/memcache. A program switches by changing an import.
//
// Keys are placed as gomemcache places them, and requests are the same classic commands.
// The differences are: concurrent calls share one connection to each server, and
// MaxIdleConns has no effect; a server that failed is not tried again for up to 100 ms;
// DeleteAll deletes the items of every server; GetMulti of a malformed key asks no
// server. The fields of Client are read when the first connection to a server is made.
//
// Client has no locks of its own; those of the pool of connections are in
// memcache/internal/shim.
//
// # Examples
//
// Example in example_test.go is a program of gomemcache.
package memcache

import (
	"context"
	"crypto/tls"
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
// Client.Timeout. Addr is the server's address.
type ConnectTimeoutError = shim.ConnectTimeoutError

const (
	// DefaultTimeout is the default of Client.Timeout.
	DefaultTimeout = 500 * time.Millisecond
	// DefaultMaxIdleConns has no effect.
	DefaultMaxIdleConns = 2
)

// Item is an item of a server.
type Item struct {
	// Key is at most 250 bytes without spaces and control characters.
	Key string
	// Value is the value of the item.
	Value []byte
	// Flags are stored with the value.
	Flags uint32
	// Expiration is in seconds up to 30 days, otherwise a Unix time. 0 is unlimited.
	Expiration int32
	// CasID is the version that CompareAndSwap compares. Reads set it.
	CasID uint64
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

// Client is a client for the servers of a selector. Its methods are safe for concurrent
// use. New or NewFromSelector makes one.
type Client struct {
	// DialContext makes connections. Nil is a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds connecting, writing and reading, each. 0 is DefaultTimeout.
	Timeout time.Duration
	// MaxIdleConns has no effect: one connection to each server carries all requests.
	MaxIdleConns int
	// TLS encrypts the connections. gomemcache does not have it.
	TLS *tls.Config

	selector ServerSelector
	once     sync.Once
	pool     *shim.Pool
}

// New returns a client for the servers, each "host:port" or the path of a unix socket. If
// one of them does not resolve, the client has no servers.
func New(server ...string) *Client {
	list := new(ServerList)
	_ = list.SetServers(server...)
	return NewFromSelector(list)
}

// NewFromSelector returns a client for the servers of ss.
func NewFromSelector(ss ServerSelector) *Client { return &Client{selector: ss} }

func (c *Client) servers() *shim.Pool {
	c.once.Do(func() { c.pool = shim.NewPool(c.selector, c.options) })
	return c.pool
}

func (c *Client) options() *lintel.Options {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timeout = max(timeout, time.Millisecond)
	dial := c.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &lintel.Options{
		Dial: dial, TLS: c.TLS,
		DialTimeout: timeout, QueueTimeout: 2 * timeout, WriteTimeout: timeout, ReadTimeout: timeout,
	}
}

var background = context.Background()

// key calls do with the client for the server of key.
func (c *Client) key(key string, do func(*lintel.Client) error) error {
	if !shim.LegalKey(key) {
		return ErrMalformedKey
	}
	return c.servers().Key(key, do)
}

func item(it *lintel.Item) *Item {
	return &Item{Key: it.Key, Value: it.Value, Flags: it.Flags, CasID: it.CAS}
}

// Get returns the item under key, or ErrCacheMiss.
func (c *Client) Get(key string) (got *Item, err error) {
	err = c.key(key, func(cl *lintel.Client) error {
		it, err := cl.Get(background, key)
		if err == nil {
			got = item(it)
		}
		return err
	})
	return got, err
}

// GetAndTouch returns the item under key, or ErrCacheMiss, and sets its expiration.
func (c *Client) GetAndTouch(key string, expiration int32) (got *Item, err error) {
	err = c.key(key, func(cl *lintel.Client) error {
		it, err := cl.GetAndTouch(background, key, shim.Expiration(expiration))
		if err == nil {
			got = item(it)
		}
		return err
	})
	return got, err
}

// GetMulti returns the items found, by key. With an error of a server it returns the items
// of the others; for a malformed key it returns nil and ErrMalformedKey.
func (c *Client) GetMulti(keys []string) (map[string]*Item, error) {
	for _, key := range keys {
		if !shim.LegalKey(key) {
			return nil, ErrMalformedKey
		}
	}
	var mu sync.Mutex // protects out
	out := make(map[string]*Item)
	err := c.servers().Multi(keys, func(cl *lintel.Client, keys []string) error {
		items, err := cl.GetMulti(background, keys)
		mu.Lock()
		defer mu.Unlock()
		for key, it := range items {
			out[key] = item(it)
		}
		return err
	})
	return out, err
}

func (c *Client) store(it *Item, do func(*lintel.Client, context.Context, *lintel.Item) error) error {
	return c.key(it.Key, func(cl *lintel.Client) error {
		return do(cl, background, &lintel.Item{Key: it.Key, Value: it.Value, Flags: it.Flags, TTL: shim.Expiration(it.Expiration), CAS: it.CasID})
	})
}

// Set stores the item unconditionally.
func (c *Client) Set(item *Item) error { return c.store(item, (*lintel.Client).Set) }

// Add stores the item if there is none under its key, or returns ErrNotStored.
func (c *Client) Add(item *Item) error { return c.store(item, (*lintel.Client).Add) }

// Replace stores the item if there is one under its key, or returns ErrNotStored.
func (c *Client) Replace(item *Item) error { return c.store(item, (*lintel.Client).Replace) }

// Append adds to the end of the stored value, or returns ErrNotStored if there is none.
func (c *Client) Append(item *Item) error {
	return c.key(item.Key, func(cl *lintel.Client) error { return cl.Append(background, item.Key, item.Value) })
}

// Prepend adds to the front of the stored value, or returns ErrNotStored if there is none.
func (c *Client) Prepend(item *Item) error {
	return c.key(item.Key, func(cl *lintel.Client) error { return cl.Prepend(background, item.Key, item.Value) })
}

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
	return c.servers().Each(func(cl *lintel.Client) error { return cl.FlushAll(background) })
}

// Ping returns an error if a server does not answer.
func (c *Client) Ping() error {
	return c.servers().Each(func(cl *lintel.Client) error { return cl.Ping(background) })
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

// Close closes the connections after the calls in flight. The client may still be used.
func (c *Client) Close() error {
	c.servers().Close()
	return nil
}
