package memcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// peers are the servers that the behaviour tests run against.
var peers = []struct {
	name string
	opts memcachetest.Options
}{
	{"meta", memcachetest.Options{}},
	{"classic", memcachetest.Options{ClassicOnly: true}},
}

// dial returns a client for the servers, closed at the end of the test. Where a
// bound is left to the default it is out of the way of a busy machine's tests.
func dial(t testing.TB, opts *memcache.Options, servers ...string) *memcache.Client {
	t.Helper()
	var o memcache.Options
	if opts != nil {
		o = *opts
	}
	for _, bound := range []*time.Duration{&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.QueueTimeout} {
		if *bound == 0 {
			*bound = time.Minute
		}
	}
	c, err := memcache.New(&o, servers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// withFleet runs a test on three servers of each kind.
func withFleet(t *testing.T, test func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server)) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			var addrs []string
			var fleet []*memcachetest.Server
			for range 3 {
				opts := peer.opts
				addr, s := memcachetest.Start(t, &opts)
				addrs, fleet = append(addrs, addr), append(fleet, s)
			}
			test(t, dial(t, nil, addrs...), fleet)
		})
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestCommands(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server) {
		ctx := t.Context()
		_, err := c.Get(ctx, "a")
		wantErr(t, "get of nothing", err, memcache.ErrCacheMiss)
		wantErr(t, "replace of nothing", c.Replace(ctx, &memcache.Item{Key: "a"}), memcache.ErrNotStored)
		wantErr(t, "append to nothing", c.Append(ctx, "a", []byte("x")), memcache.ErrNotStored)
		wantErr(t, "prepend to nothing", c.Prepend(ctx, "a", []byte("x")), memcache.ErrNotStored)
		wantErr(t, "delete of nothing", c.Delete(ctx, "a"), memcache.ErrCacheMiss)
		wantErr(t, "touch of nothing", c.Touch(ctx, "a", time.Minute), memcache.ErrCacheMiss)
		wantErr(t, "cas of nothing", c.CompareAndSwap(ctx, &memcache.Item{Key: "a", CAS: 1}), memcache.ErrCacheMiss)
		_, err = c.Increment(ctx, "a", 1)
		wantErr(t, "incr of nothing", err, memcache.ErrCacheMiss)

		wantErr(t, "add", c.Add(ctx, &memcache.Item{Key: "a", Value: []byte("one"), Flags: math.MaxUint32}), nil)
		wantErr(t, "second add", c.Add(ctx, &memcache.Item{Key: "a", Value: []byte("two")}), memcache.ErrNotStored)
		it, err := c.Get(ctx, "a")
		if err != nil || it.Key != "a" || string(it.Value) != "one" || it.Flags != math.MaxUint32 || it.CAS == 0 {
			t.Fatalf("got %+v, %v", it, err)
		}
		wantErr(t, "append", c.Append(ctx, "a", []byte(">")), nil)
		wantErr(t, "prepend", c.Prepend(ctx, "a", []byte("<")), nil)
		it.Value = []byte("three")
		wantErr(t, "cas with an old version", c.CompareAndSwap(ctx, it), memcache.ErrCASConflict)
		if it, err = c.Get(ctx, "a"); err != nil || string(it.Value) != "<one>" {
			t.Fatalf("got %+v, %v", it, err)
		}
		it.Value = []byte("7")
		wantErr(t, "cas", c.CompareAndSwap(ctx, it), nil)
		if n, err := c.Increment(ctx, "a", 5); n != 12 || err != nil {
			t.Errorf("7+5 = %d, %v", n, err)
		}
		if n, err := c.Decrement(ctx, "a", 100); n != 0 || err != nil {
			t.Errorf("12-100 = %d, %v", n, err)
		}
		wantErr(t, "set", c.Set(ctx, &memcache.Item{Key: "a", Value: []byte("x")}), nil)
		_, err = c.Increment(ctx, "a", 1)
		wantErr(t, "incr of text", err, memcache.ErrNotNumber)
		v, flags, err := c.GetInto(ctx, "a", []byte("head:"))
		if string(v) != "head:x" || flags != 0 || err != nil {
			t.Errorf("GetInto: %q, %d, %v", v, flags, err)
		}
		wantErr(t, "delete", c.Delete(ctx, "a"), nil)
		_, _, err = c.GetInto(ctx, "a", nil)
		wantErr(t, "get after delete", err, memcache.ErrCacheMiss)

		empty := &memcache.Item{Key: "empty"}
		wantErr(t, "empty set", c.Set(ctx, empty), nil)
		if it, err := c.Get(ctx, "empty"); err != nil || it.Value == nil || len(it.Value) != 0 {
			t.Errorf("empty value: %+v, %v", it, err)
		}
		big := bytes.Repeat([]byte("0123456789abcdef"), 60000)
		wantErr(t, "big set", c.Set(ctx, &memcache.Item{Key: "big", Value: big}), nil)
		if it, err := c.Get(ctx, "big"); err != nil || !bytes.Equal(it.Value, big) {
			t.Errorf("big value: %v", err)
		}
		wantErr(t, "too big", c.Set(ctx, &memcache.Item{Key: "big", Value: make([]byte, 2<<20)}), memcache.ErrTooLarge)
		wantErr(t, "still in step", c.Set(ctx, empty), nil)

		wantErr(t, "ping", c.Ping(ctx), nil)
		stats, err := c.Stats(ctx, "")
		if err != nil || len(stats) != 3 || stats[c.Servers()[0]]["version"] != "memcachetest" {
			t.Errorf("stats: %v, %v", stats, err)
		}
		wantErr(t, "flush", c.FlushAll(ctx), nil)
		for i, s := range fleet {
			if n := s.Len(); n != 0 {
				t.Errorf("server %d holds %d items after FlushAll", i, n)
			}
		}
	})
}

func TestTTL(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server) {
		ctx := t.Context()
		advance := func(d time.Duration) {
			for _, s := range fleet {
				s.Advance(d)
			}
		}
		set := func(key string, ttl time.Duration) {
			t.Helper()
			if err := c.Set(ctx, &memcache.Item{Key: key, Value: []byte("v"), TTL: ttl}); err != nil {
				t.Fatal(err)
			}
		}
		set("short", time.Millisecond)
		set("minute", time.Minute)
		set("long", 31*24*time.Hour)
		set("ever", 0)
		set("past", -time.Nanosecond)
		_, err := c.Get(ctx, "past")
		wantErr(t, "negative TTL", err, memcache.ErrCacheMiss)
		if _, err := c.Get(ctx, "short"); err != nil {
			t.Errorf("a sub-second TTL is not rounded up: %v", err)
		}
		advance(2 * time.Second)
		_, err = c.Get(ctx, "short")
		wantErr(t, "after its second", err, memcache.ErrCacheMiss)
		if _, err := c.GetAndTouch(ctx, "minute", time.Hour); err != nil {
			t.Error(err)
		}
		advance(2 * time.Minute)
		if err := c.Touch(ctx, "minute", time.Second); err != nil {
			t.Error(err)
		}
		advance(2 * time.Second)
		_, err = c.Get(ctx, "minute")
		wantErr(t, "after its touch", err, memcache.ErrCacheMiss)
		if _, err := c.Get(ctx, "long"); err != nil {
			t.Errorf("a TTL over 30 days is not taken for one: %v", err)
		}
		advance(32 * 24 * time.Hour)
		_, err = c.Get(ctx, "long")
		wantErr(t, "after a month", err, memcache.ErrCacheMiss)
		if _, err := c.Get(ctx, "ever"); err != nil {
			t.Error(err)
		}
		// Beyond 2038 a TTL is cut, not refused.
		set("far", 50*365*24*time.Hour)
		wantErr(t, "touch far ahead", c.Touch(ctx, "ever", math.MaxInt64), nil)
		advance(24 * time.Hour)
		for _, key := range []string{"far", "ever"} {
			if _, err := c.Get(ctx, key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
}

func TestKeys(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server) {
		ctx := t.Context()
		for b := range 256 {
			key := "k" + string([]byte{byte(b)}) + "y"
			err := c.Set(ctx, &memcache.Item{Key: key, Value: []byte{byte(b)}})
			if b <= ' ' || b == 0x7f {
				wantErr(t, fmt.Sprintf("byte %#x", b), err, memcache.ErrMalformedKey)
				continue
			}
			if it, gerr := c.Get(ctx, key); err != nil || gerr != nil || it.Value[0] != byte(b) {
				t.Errorf("byte %#x: %v, %v", b, err, gerr)
			}
		}
		long := strings.Repeat("x", pipeline.MaxKeyLen)
		wantErr(t, "longest key", c.Set(ctx, &memcache.Item{Key: long}), nil)
		for _, bad := range []string{"", long + "x", "a b", "a\r\nflush_all\r\n"} {
			_, err := c.Get(ctx, bad)
			wantErr(t, bad, err, memcache.ErrMalformedKey)
			_, err = c.GetMulti(ctx, []string{"ok", bad})
			wantErr(t, bad, err, memcache.ErrMalformedKey)
		}
		for i, s := range fleet {
			if s.Count("flush_all") != 0 {
				t.Errorf("server %d was told to flush", i)
			}
		}
	})
}

func TestMulti(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server) {
		ctx := t.Context()
		var keys []string
		var items []*memcache.Item
		for i := range 300 {
			keys = append(keys, fmt.Sprint("key", i))
			if i%3 != 0 {
				items = append(items, &memcache.Item{Key: keys[i], Value: []byte(keys[i]), Flags: uint32(i)})
			}
		}
		if err := c.SetMulti(ctx, items); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetMulti(ctx, append(keys, "key1", "key0"))
		if err != nil || len(got) != len(items) {
			t.Fatalf("%d items, %v", len(got), err)
		}
		for _, it := range items {
			if g := got[it.Key]; g == nil || g.Key != it.Key || !bytes.Equal(g.Value, it.Value) || g.Flags != it.Flags || g.CAS == 0 {
				t.Fatalf("got %+v, want %+v", g, it)
			}
		}
		for i, s := range fleet {
			if s.Len() == 0 {
				t.Errorf("server %d has no share", i)
			}
		}
		if err := c.DeleteMulti(ctx, keys); err != nil {
			t.Fatal(err)
		}
		if got, err := c.GetMulti(ctx, keys); err != nil || len(got) != 0 {
			t.Fatalf("%d items left, %v", len(got), err)
		}
		if got, err := c.GetMulti(ctx, nil); err != nil || len(got) != 0 {
			t.Fatal(got, err)
		}
		err = c.SetMulti(ctx, []*memcache.Item{{Key: "fine"}, {Key: "huge", Value: make([]byte, 2<<20)}})
		var refused *memcache.Error
		if !errors.As(err, &refused) || refused.Key != "huge" || !errors.Is(err, memcache.ErrTooLarge) {
			t.Errorf("refused item: %v", err)
		}
		if _, err := c.Get(ctx, "fine"); err != nil {
			t.Error(err)
		}
	})
}

// TestMultiPartial: what the live servers have comes with an error that names
// the dead one.
func TestMultiPartial(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, fleet []*memcachetest.Server) {
		ctx := t.Context()
		var keys []string
		var items []*memcache.Item
		lost := 0
		for i := range 100 {
			key := fmt.Sprint("key", i)
			keys, items = append(keys, key), append(items, &memcache.Item{Key: key, Value: []byte(key)})
			if c.ServerFor(key) == c.Servers()[1] {
				lost++
			}
		}
		if err := c.SetMulti(ctx, items); err != nil {
			t.Fatal(err)
		}
		fleet[1].Close()
		got, err := c.GetMulti(ctx, keys)
		var down *memcache.Error
		if !errors.As(err, &down) || down.Server != c.Servers()[1] {
			t.Errorf("error: %v", err)
		}
		if len(got) != len(keys)-lost || lost == 0 {
			t.Errorf("%d of %d items, %d were lost", len(got), len(keys), lost)
		}
		for key, it := range got {
			if string(it.Value) != key {
				t.Errorf("%s holds %q", key, it.Value)
			}
		}
		err = c.DeleteMulti(ctx, keys)
		if !errors.As(err, &down) || down.Server != c.Servers()[1] {
			t.Errorf("error: %v", err)
		}
		if n := fleet[0].Len() + fleet[2].Len(); n != 0 {
			t.Errorf("%d items left on live servers", n)
		}
	})
}

func TestConcurrent(t *testing.T) {
	withFleet(t, func(t *testing.T, c *memcache.Client, _ []*memcachetest.Server) {
		ctx := t.Context()
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 200 {
					key := fmt.Sprintf("g%d-%d", g, i%7)
					value := []byte(key + strings.Repeat("!", i))
					if err := c.Set(ctx, &memcache.Item{Key: key, Value: value}); err != nil {
						t.Error(err)
						return
					}
					it, err := c.Get(ctx, key)
					if err != nil || !bytes.Equal(it.Value, value) {
						t.Errorf("%s: %v, %v", key, it, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/m.sock"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets here:", err)
	}
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	for _, spec := range []string{path, "unix:" + path + "=name"} {
		c := dial(t, nil, spec)
		if err := c.Set(t.Context(), &memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
			t.Error(err)
		}
		if c.Servers()[0] != path {
			t.Errorf("server is called %q", c.Servers()[0])
		}
	}
}

func TestClosed(t *testing.T) {
	addr, _ := memcachetest.Start(t, nil)
	c := dial(t, nil, addr)
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err := c.Get(ctx, "k")
	wantErr(t, "Get", err, memcache.ErrClosed)
	_, err = c.GetMulti(ctx, []string{"k"})
	wantErr(t, "GetMulti", err, memcache.ErrClosed)
	wantErr(t, "Ping", c.Ping(ctx), memcache.ErrClosed)
	wantErr(t, "SetServers", c.SetServers(addr), memcache.ErrClosed)
	_, err = c.Fetch(ctx, "k", memcache.FetchOptions{}, func(context.Context) ([]byte, error) { return nil, nil })
	wantErr(t, "Fetch", err, memcache.ErrClosed)
}

func TestAuth(t *testing.T) {
	addr, _ := memcachetest.Start(t, &memcachetest.Options{Username: "u", Password: "p w"})
	c := dial(t, &memcache.Options{Username: "u", Password: "p w"}, addr)
	if err := c.Set(t.Context(), &memcache.Item{Key: "k"}); err != nil {
		t.Error(err)
	}
	for _, opts := range []*memcache.Options{{Username: "u", Password: "wrong"}, nil} {
		c := dial(t, opts, addr)
		wantErr(t, "wrong password", c.Set(t.Context(), &memcache.Item{Key: "k"}), pipeline.ErrAuth)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []memcache.Options{
		{Conns: -1},
		{Conns: 65},
		{ReadTimeout: -1},
		{BackoffMin: time.Minute},
		{MaxItemSize: -1},
		{Protocol: 9},
		{Failover: 9},
		{Failover: memcache.FailGutter},
		{Gutter: []string{"a:b"}},
	} {
		if c, err := memcache.New(&o, "localhost"); err == nil {
			c.Close()
			t.Errorf("%+v is accepted", o)
		}
	}
	_, err := memcache.New(nil)
	wantErr(t, "no servers", err, memcache.ErrNoServers)
	if _, err := memcache.New(nil, "a:b"); err == nil {
		t.Error("a port that is no number is accepted")
	}
}

// TestEncodeKeys: with the option, keys of any bytes reach a server that has
// meta commands, as they are; others refuse them before they are sent.
func TestEncodeKeys(t *testing.T) {
	keys := []string{"a b", "\x00", "line\r\nflush_all\r\n", "\x7f", "plain", strings.Repeat(" ", 186), "tab\tclé"}
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			addr, s := memcachetest.Start(t, &peer.opts)
			c := dial(t, &memcache.Options{EncodeKeys: true}, addr)
			ctx := t.Context()
			if peer.opts.ClassicOnly {
				wantErr(t, "odd key", c.Set(ctx, &memcache.Item{Key: keys[0]}), memcache.ErrMalformedKey)
				_, err := c.GetMulti(ctx, keys)
				wantErr(t, "odd keys", err, memcache.ErrMalformedKey)
				wantErr(t, "plain key", c.Set(ctx, &memcache.Item{Key: "plain"}), nil)
				return
			}
			for i, key := range keys {
				wantErr(t, "set", c.Set(ctx, &memcache.Item{Key: key, Value: []byte("1")}), nil)
				if v, _, ok := s.Get(key); !ok || string(v) != "1" {
					t.Errorf("%q is not on the server", key)
				}
				if n, err := c.Increment(ctx, key, uint64(i)); err != nil || n != uint64(i+1) {
					t.Errorf("%q: %d, %v", key, n, err)
				}
				wantErr(t, "touch", c.Touch(ctx, key, time.Minute), nil)
				if it, err := c.Get(ctx, key); err != nil || it.Key != key {
					t.Errorf("%q: %+v, %v", key, it, err)
				}
			}
			got, err := c.GetMulti(ctx, append(keys, "no such"))
			if err != nil || len(got) != len(keys) || got[keys[0]] == nil || got[keys[0]].Key != keys[0] {
				t.Errorf("%d items, %v", len(got), err)
			}
			v, err := c.Fetch(ctx, "to load", memcache.FetchOptions{TTL: time.Minute}, func(context.Context) ([]byte, error) { return []byte("loaded"), nil })
			if err != nil || string(v) != "loaded" {
				t.Errorf("Fetch: %q, %v", v, err)
			}
			wantErr(t, "set", c.SetMulti(ctx, []*memcache.Item{{Key: "x y", Value: []byte("z")}, {Key: "xy"}}), nil)
			wantErr(t, "delete", c.DeleteMulti(ctx, append(keys, "x y", "xy", "to load")), nil)
			if s.Len() != 0 {
				t.Errorf("%d items left", s.Len())
			}
			for _, bad := range []string{"", strings.Repeat(" ", 187), strings.Repeat("x", 251)} {
				_, err := c.Get(ctx, bad)
				wantErr(t, bad, err, memcache.ErrMalformedKey)
			}
		})
	}
}
