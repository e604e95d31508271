package interop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache"
)

// ours is Lintel's client as a cacheClient.
type ours struct {
	t      *testing.T
	c      *memcache.Client
	ctx    context.Context
	tokens map[string]uint64
}

// ourClients are Lintel's client with each protocol.
func ourClients() []kind {
	return []kind{
		{name: "go", dial: goClient(nil)},
		{name: "go-classic", dial: goClient(&memcache.Options{Protocol: memcache.ProtocolClassic})},
		{name: "go-meta", dial: goClient(&memcache.Options{Protocol: memcache.ProtocolMeta})},
	}
}

func goClient(opts *memcache.Options) maker {
	return func(t *testing.T, servers ...string) cacheClient {
		t.Helper()
		c, err := memcache.New(patient(opts), servers...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &ours{t: t, c: c, ctx: guard(t), tokens: map[string]uint64{}}
	}
}

// patient returns a copy of opts with timeouts for a busy machine.
func patient(opts *memcache.Options) *memcache.Options {
	var o memcache.Options
	if opts != nil {
		o = *opts
	}
	o.DialTimeout, o.QueueTimeout, o.WriteTimeout, o.ReadTimeout = peers.Patience, peers.Patience, peers.Patience, peers.Patience
	return &o
}

// done returns false for a refusal and fails the test for any other error.
func (o *ours) done(err error) bool {
	o.t.Helper()
	switch {
	case err == nil:
		return true
	case errors.Is(err, memcache.ErrCacheMiss), errors.Is(err, memcache.ErrNotStored), errors.Is(err, memcache.ErrCASConflict):
		return false
	}
	o.t.Fatal(err)
	return false
}

// ttl converts a TTL of memcached to a duration: up to a month it is relative,
// beyond that a date, which is in the past in all scenarios.
func ttl(seconds int) time.Duration {
	if seconds > month {
		return -time.Second
	}
	return time.Duration(seconds) * time.Second
}

func item(key string, v *value, seconds int) *memcache.Item {
	return &memcache.Item{Key: key, Value: v.Bytes, TTL: ttl(seconds)}
}

func (o *ours) set(key string, v *value, seconds int) bool {
	o.t.Helper()
	return o.done(o.c.Set(o.ctx, item(key, v, seconds)))
}

func (o *ours) add(key string, v *value, seconds int) bool {
	o.t.Helper()
	return o.done(o.c.Add(o.ctx, item(key, v, seconds)))
}

func (o *ours) replace(key string, v *value, seconds int) bool {
	o.t.Helper()
	return o.done(o.c.Replace(o.ctx, item(key, v, seconds)))
}

func (o *ours) appendTo(key string, v *value) bool {
	o.t.Helper()
	return o.done(o.c.Append(o.ctx, key, v.Bytes))
}

func (o *ours) prependTo(key string, v *value) bool {
	o.t.Helper()
	return o.done(o.c.Prepend(o.ctx, key, v.Bytes))
}

func (o *ours) get(key string) *value {
	o.t.Helper()
	it, err := o.c.Get(o.ctx, key)
	if !o.done(err) {
		return nil
	}
	return raw(string(it.Value))
}

func (o *ours) gets(key string) *value {
	o.t.Helper()
	it, err := o.c.Get(o.ctx, key)
	if !o.done(err) {
		return nil
	}
	o.tokens[key] = it.CAS
	return raw(string(it.Value))
}

func (o *ours) cas(key string, v *value, seconds int) bool {
	o.t.Helper()
	it := item(key, v, seconds)
	it.CAS = o.tokens[key]
	return o.done(o.c.CompareAndSwap(o.ctx, it))
}

func (o *ours) delete(key string) bool {
	o.t.Helper()
	return o.done(o.c.Delete(o.ctx, key))
}

func (o *ours) incr(key string, delta uint64) (uint64, bool) {
	o.t.Helper()
	n, err := o.c.Increment(o.ctx, key, delta)
	return n, o.done(err)
}

func (o *ours) decr(key string, delta uint64) (uint64, bool) {
	o.t.Helper()
	n, err := o.c.Decrement(o.ctx, key, delta)
	return n, o.done(err)
}

func (o *ours) touch(key string, seconds int) bool {
	o.t.Helper()
	return o.done(o.c.Touch(o.ctx, key, ttl(seconds)))
}

func (o *ours) getMulti(keys []string) map[string]*value {
	o.t.Helper()
	items, err := o.c.GetMulti(o.ctx, keys)
	if err != nil {
		o.t.Fatal(err)
	}
	values := make(map[string]*value, len(items))
	for key, it := range items {
		values[key] = raw(string(it.Value))
	}
	return values
}

func (o *ours) setMulti(values map[string]*value, seconds int) {
	o.t.Helper()
	var items []*memcache.Item
	for key, v := range values {
		items = append(items, item(key, v, seconds))
	}
	if err := o.c.SetMulti(o.ctx, items); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ours) deleteMulti(keys []string) {
	o.t.Helper()
	if err := o.c.DeleteMulti(o.ctx, keys); err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
		o.t.Fatal(err)
	}
}

func (o *ours) flush() {
	o.t.Helper()
	o.done(o.c.FlushAll(o.ctx))
}

func (o *ours) stats() map[string]string {
	o.t.Helper()
	all, err := o.c.Stats(o.ctx, "")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, st := range all {
		return st
	}
	return nil
}
