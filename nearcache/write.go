package nearcache

import (
	"context"
	"time"

	"lintel.dev/memcache"
)

// writing marks a key while this process changes it, so that replies that are older
// than the change are not kept. The function that it returns ends that.
func (c *core) writing(keys ...string) (done func()) {
	for _, key := range keys {
		c.table.BeginWrite(hashOf(key))
	}
	return func() {
		for _, key := range keys {
			c.table.EndWrite(hashOf(key))
		}
	}
}

// Set is Client.Set.
func (c *core) Set(ctx context.Context, it *memcache.Item) error {
	defer c.writing(it.Key)()
	return c.client.Set(ctx, it)
}

// Add is Client.Add.
func (c *core) Add(ctx context.Context, it *memcache.Item) error {
	defer c.writing(it.Key)()
	return c.client.Add(ctx, it)
}

// Replace is Client.Replace.
func (c *core) Replace(ctx context.Context, it *memcache.Item) error {
	defer c.writing(it.Key)()
	return c.client.Replace(ctx, it)
}

// CompareAndSwap is Client.CompareAndSwap.
func (c *core) CompareAndSwap(ctx context.Context, it *memcache.Item) error {
	defer c.writing(it.Key)()
	return c.client.CompareAndSwap(ctx, it)
}

// Append is Client.Append.
func (c *core) Append(ctx context.Context, key string, value []byte) error {
	defer c.writing(key)()
	return c.client.Append(ctx, key, value)
}

// Prepend is Client.Prepend.
func (c *core) Prepend(ctx context.Context, key string, value []byte) error {
	defer c.writing(key)()
	return c.client.Prepend(ctx, key, value)
}

// SetMulti is Client.SetMulti.
func (c *core) SetMulti(ctx context.Context, items []*memcache.Item) error {
	keys := make([]string, len(items))
	for i, it := range items {
		keys[i] = it.Key
	}
	defer c.writing(keys...)()
	return c.client.SetMulti(ctx, items)
}

// Delete is Client.Delete.
func (c *core) Delete(ctx context.Context, key string) error {
	defer c.writing(key)()
	return c.client.Delete(ctx, key)
}

// DeleteMulti is Client.DeleteMulti.
func (c *core) DeleteMulti(ctx context.Context, keys []string) error {
	defer c.writing(keys...)()
	return c.client.DeleteMulti(ctx, keys)
}

// Invalidate is Client.Invalidate.
func (c *core) Invalidate(ctx context.Context, key string, ttl time.Duration) error {
	defer c.writing(key)()
	return c.client.Invalidate(ctx, key, ttl)
}

// Increment is Client.Increment.
func (c *core) Increment(ctx context.Context, key string, delta uint64) (uint64, error) {
	defer c.writing(key)()
	return c.client.Increment(ctx, key, delta)
}

// Decrement is Client.Decrement.
func (c *core) Decrement(ctx context.Context, key string, delta uint64) (uint64, error) {
	defer c.writing(key)()
	return c.client.Decrement(ctx, key, delta)
}

// Touch is Client.Touch.
func (c *core) Touch(ctx context.Context, key string, ttl time.Duration) error {
	defer c.writing(key)()
	return c.client.Touch(ctx, key, ttl)
}

// GetAndTouch is Client.GetAndTouch. It always asks the server.
func (c *core) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (*memcache.Item, error) {
	defer c.writing(key)()
	return c.client.GetAndTouch(ctx, key, ttl)
}

// FlushAll is Client.FlushAll.
func (c *core) FlushAll(ctx context.Context) error {
	c.suspect() // what is kept
	defer c.suspect()
	// Replies to questions that are asked meanwhile are void after the second time.
	return c.client.FlushAll(ctx)
}

func (c *core) suspect() {
	if f := c.fleet.Load(); f != nil {
		for _, s := range f.servers {
			s.src.Suspect()
		}
	}
}
