package memcache_test

import (
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

func TestNamespace(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		ctx := t.Context()
		a := client().Namespace("user:7", 0)
		b := client().Namespace("user:7", 10*time.Second)
		if err := a.Set(ctx, &memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if it, err := b.Get(ctx, "k"); err != nil || string(it.Value) != "v" {
			t.Errorf("%+v, %v", it, err)
		}
		if err := a.InvalidateAll(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := a.Get(ctx, "k")
		wantErr(t, "at once where it is asked each time", err, memcache.ErrCacheMiss)
		if _, err := b.Get(ctx, "k"); err != nil {
			t.Errorf("within maxAge: %v", err)
		}
		pass(11 * time.Second)
		_, err = b.Get(ctx, "k")
		wantErr(t, "after maxAge", err, memcache.ErrCacheMiss)

		// A version that was evicted never comes back.
		before, _ := a.Key(ctx, "k")
		a.Set(ctx, &memcache.Item{Key: "k", Value: []byte("old")})
		if err := client().Delete(ctx, "ns:user:7"); err != nil {
			t.Fatal(err)
		}
		pass(time.Millisecond)
		if after, err := a.Key(ctx, "k"); err != nil || after <= before {
			t.Errorf("%s after %s, %v", after, before, err)
		}
		l := &loader{}
		o := memcache.FetchOptions{TTL: time.Minute}
		wantValue(t, "fetch", "v1")(a.Fetch(ctx, "f", o, l.load))
		wantValue(t, "fetch", "v1")(a.Fetch(ctx, "f", o, l.load))
		if err := a.Delete(ctx, "f"); err != nil {
			t.Error(err)
		}
		client().Delete(ctx, "ns:user:7")
		if err := a.InvalidateAll(ctx); err != nil {
			t.Error(err)
		}
		wantValue(t, "fetch", "v2")(a.Fetch(ctx, "f", o, l.load))
	})
}
