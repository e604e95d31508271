package nearcache

import (
	"context"
	"time"

	"lintel.dev/memcache"
)

// Fetch returns the value under key. If neither the cache nor the server has one, it
// calls load and stores the result, with a lease, as Client.Fetch does. A value that is
// to be reloaded early, or is stale, is left to Client.Fetch.
func (c *Cache) Fetch(ctx context.Context, key string, o memcache.FetchOptions, load func(context.Context) ([]byte, error)) ([]byte, error) {
	if it, ok := c.fresh(ctx, key, o); ok {
		return it.Fetched()
	}
	// The value is missing: no reply is kept until Client.Fetch has stored it.
	defer c.writing(key)()
	return c.client.Fetch(ctx, key, o, load)
}

// FetchMulti returns the values under keys and loads those that neither the cache nor
// the servers have, as Client.FetchMulti does.
func (c *Cache) FetchMulti(ctx context.Context, keys []string, o memcache.FetchOptions, load func(ctx context.Context, missing []string) (map[string][]byte, error)) (map[string][]byte, error) {
	items, rest := c.split(ctx, keys)
	out := make(map[string][]byte, len(keys))
	if len(rest) > 0 {
		defer c.writing(rest...)()
		got, err := c.client.FetchMulti(ctx, rest, o, load)
		for key, v := range got {
			out[key] = v
		}
		if err != nil {
			return out, err
		}
	}
	for key, it := range items {
		if v, err := it.Fetched(); err == nil {
			out[key] = v
		}
	}
	return out, nil
}

// split returns the items that FetchMulti need not load, and the other keys.
func (c *Cache) split(ctx context.Context, keys []string) (items map[string]*memcache.Item, rest []string) {
	items, _ = c.GetMulti(ctx, keys) // what it does not return is for Client.FetchMulti
	seen := make(map[string]bool)
	for _, key := range keys {
		it := items[key]
		if it != nil {
			_, err := it.Fetched()
			if _, failed := err.(*memcache.CachedError); !failed {
				continue
			}
			delete(items, key) // FetchMulti loads again what could not be loaded
		}
		if !seen[key] {
			seen[key] = true
			rest = append(rest, key)
		}
	}
	return items, rest
}

// fresh returns the item under key unless Client.Fetch has to decide about it.
func (c *Cache) fresh(ctx context.Context, key string, o memcache.FetchOptions) (*memcache.Item, bool) {
	var reload time.Duration // the item is reloaded before its end
	if o.TTL > 0 {
		reload = o.Early + o.Stale
	}
	if v, ok := c.hit(key); ok && !v.Missing {
		left := time.Duration(v.TTL)*time.Second - time.Duration(v.Age)
		if v.Endless() || left > reload {
			return itemOf(key, v), true
		}
		return nil, false
	}
	it, left, err := c.ask(ctx, key)
	if err != nil || left >= 0 && left <= reload {
		return nil, false
	}
	return it, true
}
