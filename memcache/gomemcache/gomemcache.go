// Package memcache has the API of github.com/bradfitz/gomemcache/memcache over
// the client of lintel.dev/memcache: a program switches by changing an import.
//
// The placement is gomemcache's, so that it finds what it stored before. What
// differs is below: requests share one connection to each server, MaxIdleConns
// has no meaning, and GetMulti returns what it has beside its error.
package memcache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	lintel "lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// The errors of gomemcache.
var (
	ErrCacheMiss    = errors.New("memcache: cache miss")
	ErrCASConflict  = errors.New("memcache: compare-and-swap conflict")
	ErrNotStored    = errors.New("memcache: item not stored")
	ErrServerError  = errors.New("memcache: server error")
	ErrNoStats      = errors.New("memcache: no statistics available")
	ErrMalformedKey = errors.New("malformed: key is too long or contains invalid characters")
	ErrNoServers    = errors.New("memcache: no servers configured or available")
)

const (
	// DefaultTimeout is what a Client without Timeout waits.
	DefaultTimeout = 500 * time.Millisecond
	// DefaultMaxIdleConns is there for programs that name it.
	DefaultMaxIdleConns = 2
)

// Item is gomemcache's item. Expiration is in seconds, up to a month from now,
// or a Unix date beyond; 0 means no expiry.
type Item struct {
	Key        string
	Value      []byte
	Flags      uint32
	Expiration int32
	CasID      uint64
}

// Client is gomemcache's client. Set its fields before the first call.
type Client struct {
	// DialContext connects; nil is a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds connecting, writing and reading, each; 0 is DefaultTimeout.
	Timeout time.Duration
	// MaxIdleConns has no meaning: one connection carries all requests.
	MaxIdleConns int
	// TLS, which gomemcache does not have, encrypts the connections.
	TLS *tls.Config

	servers []string
	once    sync.Once
	c       *lintel.Client
	err     error
}

// New returns a client for the servers, each "host:port" or "/path". A server
// given twice gets twice the keys.
func New(server ...string) *Client { return &Client{servers: server} }

func (c *Client) client() (*lintel.Client, error) {
	c.once.Do(func() {
		timeout := c.Timeout
		if timeout <= 0 {
			timeout = DefaultTimeout
		}
		sel, err := placement.New("gomemcache")
		if err != nil {
			c.err = err
			return
		}
		c.c, c.err = lintel.New(&lintel.Options{
			Selector: sel, Dial: c.DialContext, TLS: c.TLS,
			DialTimeout: timeout, QueueTimeout: timeout, WriteTimeout: timeout, ReadTimeout: timeout,
		}, c.servers...)
	})
	return c.c, adapt(c.err)
}

// adapted keeps the cause of an error beside gomemcache's word for it.
type adapted struct{ as, cause error }

func (e *adapted) Error() string   { return e.cause.Error() }
func (e *adapted) Unwrap() []error { return []error{e.as, e.cause} }

// adapt makes gomemcache's error of ours. Misses, conflicts and the like are
// the bare values, for programs that compare with ==.
func adapt(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lintel.ErrCacheMiss):
		return ErrCacheMiss
	case errors.Is(err, lintel.ErrCASConflict):
		return ErrCASConflict
	case errors.Is(err, lintel.ErrNotStored):
		return ErrNotStored
	case errors.Is(err, lintel.ErrMalformedKey):
		return ErrMalformedKey
	case errors.Is(err, lintel.ErrNoServers):
		return ErrNoServers
	case errors.Is(err, lintel.ErrServer), errors.Is(err, lintel.ErrTooLarge):
		return &adapted{ErrServerError, err}
	}
	return err
}

// ttl turns gomemcache's seconds into a duration from now.
func ttl(seconds int32) time.Duration {
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

func (i *Item) lintel() *lintel.Item {
	return &lintel.Item{Key: i.Key, Value: i.Value, Flags: i.Flags, TTL: ttl(i.Expiration), CAS: i.CasID}
}

func item(it *lintel.Item) *Item {
	return &Item{Key: it.Key, Value: it.Value, Flags: it.Flags, CasID: it.CAS}
}

var background = context.Background()

// Get returns the item under key, or ErrCacheMiss.
func (c *Client) Get(key string) (*Item, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	it, err := cl.Get(background, key)
	if err != nil {
		return nil, adapt(err)
	}
	return item(it), nil
}

// GetAndTouch is Get that gives the item a new expiration.
func (c *Client) GetAndTouch(key string, expiration int32) (*Item, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	it, err := cl.GetAndTouch(background, key, ttl(expiration))
	if err != nil {
		return nil, adapt(err)
	}
	return item(it), nil
}

// GetMulti returns the items found, by key.
func (c *Client) GetMulti(keys []string) (map[string]*Item, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	items, err := cl.GetMulti(background, keys)
	out := make(map[string]*Item, len(items))
	for key, it := range items {
		out[key] = item(it)
	}
	return out, adapt(err)
}

func (c *Client) store(it *Item, do func(*lintel.Client, context.Context, *lintel.Item) error) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return adapt(do(cl, background, it.lintel()))
}

// Set stores the item unconditionally.
func (c *Client) Set(it *Item) error { return c.store(it, (*lintel.Client).Set) }

// Add stores the item if there is none, or returns ErrNotStored.
func (c *Client) Add(it *Item) error { return c.store(it, (*lintel.Client).Add) }

// Replace stores the item if there is one, or returns ErrNotStored.
func (c *Client) Replace(it *Item) error { return c.store(it, (*lintel.Client).Replace) }

// Append adds to the end of the stored value, or returns ErrNotStored.
func (c *Client) Append(it *Item) error {
	return c.store(it, func(cl *lintel.Client, ctx context.Context, it *lintel.Item) error {
		return cl.Append(ctx, it.Key, it.Value)
	})
}

// Prepend adds to the front of the stored value, or returns ErrNotStored.
func (c *Client) Prepend(it *Item) error {
	return c.store(it, func(cl *lintel.Client, ctx context.Context, it *lintel.Item) error {
		return cl.Prepend(ctx, it.Key, it.Value)
	})
}

// CompareAndSwap stores the item if it was not changed since it was read.
func (c *Client) CompareAndSwap(it *Item) error { return c.store(it, (*lintel.Client).CompareAndSwap) }

// Delete removes the item, or returns ErrCacheMiss.
func (c *Client) Delete(key string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return adapt(cl.Delete(background, key))
}

// DeleteAll removes every item of every server.
func (c *Client) DeleteAll() error { return c.FlushAll() }

// FlushAll removes every item of every server.
func (c *Client) FlushAll() error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return adapt(cl.FlushAll(background))
}

// Ping asks every server for a sign of life.
func (c *Client) Ping() error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return adapt(cl.Ping(background))
}

// Touch gives the item a new expiration, or returns ErrCacheMiss.
func (c *Client) Touch(key string, seconds int32) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return adapt(cl.Touch(background, key, ttl(seconds)))
}

// Increment adds delta to a decimal number; it wraps at 2^64.
func (c *Client) Increment(key string, delta uint64) (uint64, error) {
	return c.arith(key, delta, (*lintel.Client).Increment)
}

// Decrement subtracts delta from a decimal number; it stops at 0.
func (c *Client) Decrement(key string, delta uint64) (uint64, error) {
	return c.arith(key, delta, (*lintel.Client).Decrement)
}

func (c *Client) arith(key string, delta uint64, do func(*lintel.Client, context.Context, string, uint64) (uint64, error)) (uint64, error) {
	cl, err := c.client()
	if err != nil {
		return 0, err
	}
	n, err := do(cl, background, key, delta)
	if errors.Is(err, lintel.ErrNotNumber) {
		err = fmt.Errorf("memcache: client error: %w", err)
	}
	return n, adapt(err)
}

// Close closes the connections and ends the client.
func (c *Client) Close() error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	return cl.Close()
}
