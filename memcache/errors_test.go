package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
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

// TestTLSHint: the first call of a client without TLS to a server that waits for a TLS
// record names the remedy, whichever timeout ends it.
func TestTLSHint(t *testing.T) {
	for _, queue := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					_, _ = io.Copy(io.Discard, theirs)
				}()
				return ours, nil
			}
			c := newClient(t, &memcache.Options{Dial: dial, QueueTimeout: queue, DialTimeout: 2 * time.Second}, "10.0.0.1")
			defer c.Close()
			_, err := c.Get(t.Context(), "k")
			if !errors.Is(err, memcache.ErrTimeout) || strings.Count(err.Error(), "the server may expect TLS: set Options.TLS") != 1 {
				t.Errorf("queue timeout %v: %v", queue, err)
			}
		})
	}
}

// TestMultiOutcome: a hook gets the errors of the keys that the caller gets, and no
// error for a key that was not there to delete.
func TestMultiOutcome(t *testing.T) {
	for _, classic := range []bool{false, true} {
		addr, _ := memcachetest.Start(t, &memcachetest.Options{ClassicOnly: classic, MaxItemSize: 1000})
		var got error
		c := dial(t, &memcache.Options{Hooks: memcache.Hooks{Done: func(_ context.Context, r memcache.Request) { got = r.Err }}}, addr)
		err := c.SetMulti(t.Context(), []*memcache.Item{{Key: "a"}, {Key: "big", Value: make([]byte, 2000)}, {Key: "b"}})
		if !errors.Is(err, memcache.ErrTooLarge) || fmt.Sprint(keysOf(got, memcache.ErrTooLarge)) != "[big]" {
			t.Errorf("classic %v: the caller got %v, the hook %v", classic, err, got)
		}
		if err := c.DeleteMulti(t.Context(), []string{"a", "none"}); err != nil || got != nil {
			t.Errorf("classic %v: the caller got %v, the hook %v", classic, err, got)
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
