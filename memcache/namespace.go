package memcache

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// Namespace is a view of a client for a group of keys that can be invalidated together.
// Each key is sent with the group's name and version in front of it. The version is an
// item of its own. InvalidateAll changes it, and no call finds again what was stored
// under the old one.
//
// Keys of arguments and results are those without name and version, except in errors
// and hooks.
type Namespace struct {
	c      *Client
	name   string
	maxAge time.Duration

	mu      sync.Mutex // protects version and read
	version string
	read    time.Time // when version was read
}

// Namespace returns the group with the given name. The client caches the group's version
// for maxAge: for that long it may miss an InvalidateAll of another process. With 0 it
// reads the version before every call.
func (c *Client) Namespace(name string, maxAge time.Duration) *Namespace {
	return &Namespace{c: c, name: name, maxAge: maxAge}
}

// versionKey is the key of the item that holds the version.
func (n *Namespace) versionKey() string { return "ns:" + n.name }

// Key returns the key that is sent for key: name, version and key, joined by colons.
func (n *Namespace) Key(ctx context.Context, key string) (string, error) {
	prefix, err := n.prefix(ctx)
	return prefix + key, err
}

// prefix returns what is sent in front of keys.
func (n *Namespace) prefix(ctx context.Context) (string, error) {
	n.mu.Lock()
	version, fresh := n.version, n.version != "" && time.Since(n.read) < n.maxAge
	n.mu.Unlock()
	if !fresh {
		var err error
		if version, err = n.readVersion(ctx); err != nil {
			return "", err
		}
	}
	return n.name + ":" + version + ":", nil
}

func (n *Namespace) readVersion(ctx context.Context) (string, error) {
	at := time.Now()
	it, err := n.get(ctx)
	if errors.Is(err, ErrCacheMiss) {
		// A version is never used twice: if the item was evicted, the clock is ahead of
		// all earlier versions.
		first := strconv.FormatInt(at.UnixNano(), 10)
		err = n.c.Add(ctx, &Item{Key: n.versionKey(), Value: []byte(first)})
		if err == nil || errors.Is(err, ErrNotStored) {
			it, err = n.get(ctx)
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

// get reads the item that holds the version.
func (n *Namespace) get(ctx context.Context) (*pipeline.Item, error) {
	cl := n.c.newCall(pipeline.OpGet, n.versionKey())
	defer cl.Release()
	cl.Internal = true
	if err := n.c.do(ctx, cl); err != nil {
		return nil, err
	}
	return cl.Item, nil
}

// InvalidateAll makes every key of the group a miss.
func (n *Namespace) InvalidateAll(ctx context.Context) error {
	at := time.Now()
	v, err := n.c.Increment(ctx, n.versionKey(), 1)
	if errors.Is(err, ErrCacheMiss) {
		v = uint64(at.UnixNano())
		err = n.c.Set(ctx, &Item{Key: n.versionKey(), Value: strconv.AppendUint(nil, v, 10)})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version = ""
	if err == nil {
		n.version, n.read = strconv.FormatUint(v, 10), at
	}
	return err
}

// Get is Client.Get in the group.
func (n *Namespace) Get(ctx context.Context, key string) (*Item, error) {
	full, err := n.Key(ctx, key)
	if err != nil {
		return nil, err
	}
	it, err := n.c.Get(ctx, full)
	if err != nil {
		return nil, err
	}
	it.Key = key
	return it, nil
}

// GetMulti is Client.GetMulti in the group.
func (n *Namespace) GetMulti(ctx context.Context, keys []string) (map[string]*Item, error) {
	prefix, err := n.prefix(ctx)
	if err != nil {
		return nil, err
	}
	items, err := n.c.GetMulti(ctx, prefixed(prefix, keys))
	out := make(map[string]*Item, len(items))
	for full, it := range items {
		it.Key = full[len(prefix):]
		out[it.Key] = it
	}
	return out, err
}

// Set is Client.Set in the group.
func (n *Namespace) Set(ctx context.Context, it *Item) error {
	return n.SetMulti(ctx, []*Item{it})
}

// SetMulti is Client.SetMulti in the group.
func (n *Namespace) SetMulti(ctx context.Context, items []*Item) error {
	prefix, err := n.prefix(ctx)
	if err != nil {
		return err
	}
	full := make([]*Item, len(items))
	for i, it := range items {
		c := *it
		c.Key = prefix + it.Key
		full[i] = &c
	}
	if len(full) == 1 {
		return n.c.Set(ctx, full[0])
	}
	return n.c.SetMulti(ctx, full)
}

// Delete is Client.Delete in the group.
func (n *Namespace) Delete(ctx context.Context, key string) error {
	full, err := n.Key(ctx, key)
	if err != nil {
		return err
	}
	return n.c.Delete(ctx, full)
}

// Fetch is Client.Fetch in the group. If the version cannot be read because its server
// is down, it calls load.
func (n *Namespace) Fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	return fetchBytes(ctx, n, key, o, load)
}

// FetchMulti is Client.FetchMulti in the group. If the version cannot be read because
// its server is down, it calls load.
func (n *Namespace) FetchMulti(ctx context.Context, keys []string, o FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error) {
	return fetchMultiBytes(ctx, n, keys, o, load)
}

func (n *Namespace) fetch(ctx context.Context, key string, o FetchOptions, load func(context.Context) (loaded, error)) (loaded, error) {
	full, err := n.Key(ctx, key)
	switch {
	case err == nil:
		return n.c.fetch(ctx, full, o, load)
	case isDown(err):
		return load(ctx)
	}
	return loaded{}, err
}

func (n *Namespace) fetchMulti(ctx context.Context, keys []string, o FetchOptions, load loadMulti) (map[string]loaded, error) {
	prefix, err := n.prefix(ctx)
	switch {
	case err != nil && isDown(err):
		return load(ctx, keys)
	case err != nil:
		return nil, err
	}
	values, err := n.c.fetchMulti(ctx, prefixed(prefix, keys), o, func(ctx context.Context, missing []string) (map[string]loaded, error) {
		short := make([]string, len(missing))
		for i, full := range missing {
			short[i] = full[len(prefix):]
		}
		values, err := load(ctx, short)
		out := make(map[string]loaded, len(values))
		for key, v := range values {
			out[prefix+key] = v
		}
		return out, err
	})
	out := make(map[string]loaded, len(values))
	for full, v := range values {
		out[strings.TrimPrefix(full, prefix)] = v
	}
	return out, err
}

func prefixed(prefix string, keys []string) []string {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = prefix + key
	}
	return full
}
