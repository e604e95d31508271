package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// keysOf returns the keys of the joined errors that match target.
func keysOf(err, target error) (keys []string) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range many.Unwrap() {
			keys = append(keys, keysOf(err, target)...)
		}
		return keys
	}
	if named, ok := errors.AsType[*memcache.Error](err); ok && errors.Is(err, target) {
		keys = append(keys, named.Key)
	}
	return keys
}

// TestMultiKeyErrors: a key or value that cannot be sent is an error that names key and
// limit, and the other items are carried out.
func TestMultiKeyErrors(t *testing.T) {
	inBubble(t, &memcachetest.Options{MaxItemSize: 1000}, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		ctx, c := t.Context(), client()
		long := strings.Repeat("k", 251)
		big := make([]byte, 2000)
		items := []*memcache.Item{
			{Key: "a", Value: []byte("1")},
			{Key: "b c", Value: []byte("2")},
			{Key: long, Value: []byte("3")},
			{Key: "", Value: []byte("4")},
			{Key: "d", Value: []byte("5")},
			{Key: "big", Value: big},
		}
		err := c.SetMulti(ctx, items)
		if got := fmt.Sprintf("%q", keysOf(err, memcache.ErrMalformedKey)); got != fmt.Sprintf("%q", []string{"b c", long, ""}) {
			t.Errorf("malformed: %s", got)
		}
		if got := fmt.Sprint(keysOf(err, memcache.ErrTooLarge)); got != "[big]" {
			t.Errorf("too large: %s", got)
		}
		for _, part := range []string{`key "b c": malformed key: byte 0x20 at offset 1`, "251 bytes, expected 1 to 250", "0 bytes, expected 1 to 250", `key "big": value too large: 2000 bytes`} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %v", part, err)
			}
		}
		got, err := c.GetMulti(ctx, []string{"a", "b c", "none", "d"})
		if len(got) != 2 || string(got["a"].Value) != "1" || string(got["d"].Value) != "5" || fmt.Sprint(keysOf(err, memcache.ErrMalformedKey)) != "[b c]" {
			t.Errorf("%v, %v", got, err)
		}
		values, err := c.FetchMulti(ctx, []string{"a", "b c", "e"}, memcache.FetchOptions{}, func(_ context.Context, missing []string) (map[string][]byte, error) {
			return map[string][]byte{"e": []byte(fmt.Sprint(missing))}, nil
		})
		if len(values) != 2 || string(values["e"]) != "[e]" || fmt.Sprint(keysOf(err, memcache.ErrMalformedKey)) != "[b c]" {
			t.Errorf("%s, %v", values, err)
		}
		err = c.DeleteMulti(ctx, []string{"a", "b c", "none"})
		if _, _, ok := s.Get("a"); ok || fmt.Sprint(keysOf(err, memcache.ErrMalformedKey)) != "[b c]" {
			t.Errorf("deleted: %v, %v", !ok, err)
		}
		for _, single := range []error{
			c.Set(ctx, &memcache.Item{Key: "b c"}),
			c.Set(ctx, &memcache.Item{Key: "big", Value: big}),
			func() error { _, err := c.Increment(ctx, "d x", 1); return err }(),
		} {
			if named, ok := errors.AsType[*memcache.Error](single); !ok || named.Key == "" {
				t.Errorf("%v has no key", single)
			}
		}
	})
	small, err := memcache.New(&memcache.Options{MaxItemSize: 10}, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	err = small.Set(t.Context(), &memcache.Item{Key: "k", Value: make([]byte, 11)})
	if want := `memcache: key "k": value too large: 11 bytes, the limit is 10 (Options.MaxItemSize)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestDownError: an error says once that the server is down, with server, key and cause.
func TestDownError(t *testing.T) {
	const gone = "/run/no-such-memcached"
	c, err := memcache.New(nil, gone)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // the second while the breaker is open
		_, err = c.Get(t.Context(), "k")
		named, ok := errors.AsType[*memcache.Error](err)
		if !ok || named.Server != gone || named.Key != "k" || !errors.Is(err, memcache.ErrServerDown) || strings.Count(err.Error(), "server is down") != 1 {
			t.Errorf("%v", err)
		}
	}
}

// TestOneOutcome: a Fetch is one miss or one hit to the hooks, however often it reads.
func TestOneOutcome(t *testing.T) {
	for _, classic := range []bool{false, true} {
		addr, _ := memcachetest.Start(t, &memcachetest.Options{ClassicOnly: classic})
		hits, misses := 0, 0
		c := dial(t, &memcache.Options{Hooks: memcache.Hooks{Done: func(_ context.Context, r memcache.Request) {
			switch r.Command {
			case "get", "get_multi", "lease":
				if !r.Internal {
					hits += r.Hits
					misses += r.Keys - r.Hits
				}
			}
		}}}, addr)
		shop := c.Namespace("shop", 0)
		o := memcache.FetchOptions{TTL: time.Minute}
		load := func(context.Context) ([]byte, error) { return []byte("v"), nil }
		many := func(_ context.Context, missing []string) (map[string][]byte, error) {
			return map[string][]byte{"m": []byte("v")}, nil
		}
		for i, call := range []func() error{
			func() error { _, err := c.Fetch(t.Context(), "k", o, load); return err },
			func() error { _, err := shop.Fetch(t.Context(), "k", o, load); return err },
			func() error { _, err := c.FetchMulti(t.Context(), []string{"m"}, o, many); return err },
		} {
			for warm := range 2 {
				hits, misses = 0, 0
				if err := call(); err != nil {
					t.Fatal(err)
				}
				if hits != warm || misses != 1-warm {
					t.Errorf("classic %v, call %d, warm %d: %d hits, %d misses", classic, i, warm, hits, misses)
				}
			}
		}
	}
}
