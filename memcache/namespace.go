package memcache

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"
)

// Namespace is a group of keys that can be invalidated together: each carries
// the group's version, which is an item of its own. Invalidate changes the
// version, and what was stored under the old one is never found again.
type Namespace struct {
	c      *Client
	name   string
	maxAge time.Duration

	mu      sync.Mutex // protects version and read
	version string
	read    time.Time
}

// Namespace returns the group of that name. Its version is read again when the
// last reading is older than maxAge, which is how long an Invalidate of another
// process may go unnoticed; with 0 it is read for every call.
func (c *Client) Namespace(name string, maxAge time.Duration) *Namespace {
	return &Namespace{c: c, name: name, maxAge: maxAge}
}

func (n *Namespace) item() string { return "ns:" + n.name }

// Key returns the key that the client knows key by: the group's name, its
// version and key, with colons between them.
func (n *Namespace) Key(ctx context.Context, key string) (string, error) {
	v, err := n.current(ctx)
	if err != nil {
		return "", err
	}
	return n.name + ":" + v + ":" + key, nil
}

func (n *Namespace) current(ctx context.Context) (string, error) {
	n.mu.Lock()
	if n.version != "" && time.Since(n.read) < n.maxAge {
		defer n.mu.Unlock()
		return n.version, nil
	}
	n.mu.Unlock()
	at := time.Now()
	it, err := n.c.Get(ctx, n.item())
	if errors.Is(err, ErrCacheMiss) {
		// A version is never used twice: after the item was evicted, the
		// clock is ahead of all that came before.
		first := strconv.FormatInt(at.UnixNano(), 10)
		err = n.c.Add(ctx, &Item{Key: n.item(), Value: []byte(first)})
		if err == nil || errors.Is(err, ErrNotStored) {
			it, err = n.c.Get(ctx, n.item())
		}
	}
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.After(n.read) {
		n.version, n.read = string(it.Value), at
	}
	return string(it.Value), nil
}

// Invalidate forgets everything in the group.
func (n *Namespace) Invalidate(ctx context.Context) error {
	at := time.Now()
	v, err := n.c.Increment(ctx, n.item(), 1)
	if errors.Is(err, ErrCacheMiss) {
		v = uint64(at.UnixNano())
		err = n.c.Set(ctx, &Item{Key: n.item(), Value: strconv.AppendUint(nil, v, 10)})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version = ""
	if err == nil {
		n.version, n.read = strconv.FormatUint(v, 10), at
	}
	return err
}

// Get is Client.Get in the group. The item has its full key.
func (n *Namespace) Get(ctx context.Context, key string) (*Item, error) {
	k, err := n.Key(ctx, key)
	if err != nil {
		return nil, err
	}
	return n.c.Get(ctx, k)
}

// Set is Client.Set in the group; it.Key is the key without the group's part.
func (n *Namespace) Set(ctx context.Context, it *Item) error {
	k, err := n.Key(ctx, it.Key)
	if err != nil {
		return err
	}
	full := *it
	full.Key = k
	return n.c.Set(ctx, &full)
}

// Delete is Client.Delete in the group.
func (n *Namespace) Delete(ctx context.Context, key string) error {
	k, err := n.Key(ctx, key)
	if err != nil {
		return err
	}
	return n.c.Delete(ctx, k)
}

// Fetch is Client.FetchWith in the group. When the group's version cannot be
// had, it calls load.
func (n *Namespace) Fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	k, err := n.Key(ctx, key)
	switch {
	case err == nil:
		return n.c.FetchWith(ctx, k, o, load)
	case isDown(err):
		return load(ctx)
	}
	return nil, err
}
