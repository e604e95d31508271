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
