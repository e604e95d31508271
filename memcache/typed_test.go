package memcache_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
	"lintel.dev/memcache/memcachetest"
)

type point struct{ X, Y int }

func TestTyped(t *testing.T) {
	addr, s := memcachetest.Start(t, nil)
	c := dial(t, nil, addr)
	ctx := t.Context()
	for name, cd := range map[string]codec.Codec[point]{
		"json": codec.JSON[point](), "gob": codec.Gob[point](), "default": nil,
		"zlib": codec.Compressed(codec.JSON[point](), 1, codec.Zlib),
	} {
		p := &memcache.Typed[point]{Cache: c, Codec: cd}
		if err := p.Set(ctx, name, point{1, 2}, time.Minute); err != nil {
			t.Error(err)
		}
		if got, err := p.Get(ctx, name); err != nil || got != (point{1, 2}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		many, err := p.GetMulti(ctx, []string{name, "none"})
		if err != nil || len(many) != 1 || many[name] != (point{1, 2}) {
			t.Errorf("%s: %v, %v", name, many, err)
		}
		loads := 0
		for range 2 {
			got, err := p.Fetch(ctx, "f"+name, memcache.FetchOptions{TTL: time.Minute}, func(context.Context) (point, error) { loads++; return point{3, 4}, nil })
			if err != nil || got != (point{3, 4}) || loads != 1 {
				t.Errorf("%s: %v, %v, %d loads", name, got, err, loads)
			}
		}
		s.Set("f"+name, []byte("not of this type"), 99, 0)
		got, err := p.Fetch(ctx, "f"+name, memcache.FetchOptions{TTL: time.Minute}, func(context.Context) (point, error) { return point{5, 6}, nil })
		if err != nil || got != (point{5, 6}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := p.Get(ctx, "f"+name); err != nil || got != (point{5, 6}) {
			t.Errorf("%s: not replaced: %v, %v", name, got, err)
		}
		if err := p.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	}
	big := &memcache.Typed[[]byte]{Cache: c, Codec: codec.Compressed(codec.Raw(), 100, codec.Zlib)}
	value := bytes.Repeat([]byte("ab"), 1000)
	if err := big.Set(ctx, "big", value, time.Minute); err != nil {
		t.Error(err)
	}
	if stored, flags, _ := s.Get("big"); len(stored) > 100 || flags != 1<<31 {
		t.Errorf("stored as %d bytes with flags %#x", len(stored), flags)
	}
	if got, err := big.Get(ctx, "big"); err != nil || !bytes.Equal(got, value) {
		t.Error(err)
	}
}

// TestViews: a typed view of a namespace fetches, and the namespace invalidates what the
// view stored.
func TestViews(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		ctx := t.Context()
		shop := client().Namespace("shop", 0)
		points := &memcache.Typed[point]{Cache: shop}
		o := memcache.FetchOptions{TTL: time.Minute, NegativeTTL: time.Minute}
		loads := 0
		load := func(context.Context) (point, error) { loads++; return point{loads, loads}, nil }
		many := func(_ context.Context, missing []string) (map[string]point, error) {
			loads++
			out := make(map[string]point)
			for _, key := range missing {
				if key != "none" {
					out[key] = point{loads, len(key)}
				}
			}
			return out, nil
		}
		for round := 1; round <= 2; round++ {
			loads = 10 * round
			for range 2 {
				got, err := points.Fetch(ctx, "a", o, load)
				if err != nil || got != (point{10*round + 1, 10*round + 1}) {
					t.Errorf("round %d: %v, %v", round, got, err)
				}
			}
			for range 2 {
				got, err := points.FetchMulti(ctx, []string{"a", "bc", "none"}, o, many)
				if err != nil || len(got) != 2 || got["a"].X != 10*round+1 || got["bc"] != (point{10*round + 2, 2}) {
					t.Errorf("round %d: %v, %v", round, got, err)
				}
			}
			if err := points.Set(ctx, "d", point{1, 1}, time.Minute); err != nil {
				t.Error(err)
			}
			if got, err := points.GetMulti(ctx, []string{"a", "d", "e"}); err != nil || len(got) != 2 || got["d"] != (point{1, 1}) {
				t.Errorf("round %d: %v, %v", round, got, err)
			}
			if it, err := shop.Get(ctx, "d"); err != nil || it.Key != "d" {
				t.Errorf("round %d: %+v, %v", round, it, err)
			}
			if err := points.Delete(ctx, "d"); err != nil {
				t.Error(err)
			}
			if err := shop.InvalidateAll(ctx); err != nil {
				t.Error(err)
			}
			pass(time.Second)
		}
		if _, _, ok := s.Get("a"); ok {
			t.Error("a key was sent without its group")
		}
	})
}
