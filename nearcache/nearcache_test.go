package nearcache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
	"lintel.dev/zmq"
)

func TestHitsAndChanges(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		o := r.only()
		o.change("k", "one")
		synctest.Wait()
		r.want("first", "k", "one", 1)
		r.want("second", "k", "one", 0)
		pass(time.Minute)
		r.want("a minute later", "k", "one", 0)
		o.change("k", "two")
		synctest.Wait()
		r.want("changed", "k", "two", 1)
		r.want("changed", "k", "two", 0)
		o.publish("k", wire.Touched)
		synctest.Wait()
		r.want("touched", "k", "two", 1)
		st := r.Stats()
		if st.Hits != 3 || st.Fills != 3 || st.Removed != 2 || st.Entries != 1 || len(st.Servers) != 1 || !st.Servers[0].Synced || st.Servers[0].Gaps != 0 {
			t.Errorf("%+v", st)
		}
		if lag := st.Servers[0].Lag; lag > time.Second/4 {
			t.Errorf("lag %v in an idle cache", lag)
		}
	})
}

// TestLosses: whatever is lost, the bound of one second holds, and what did not
// change is not transferred again.
func TestLosses(t *testing.T) {
	for name, lose := range map[string]func(o *origin){
		"a record": func(o *origin) {
			o.with(func() { o.dropped = true })
			o.change("k", "two")
			o.with(func() { o.dropped = false })
		},
		"the feed": func(o *origin) {
			o.with(func() { o.dropped = true })
			o.change("k", "two")
		},
		"time": func(o *origin) {
			o.with(func() { o.held = true })
			o.change("k", "two")
		},
		"fences and the feed": func(o *origin) {
			o.with(func() { o.deaf, o.dropped = true, true })
			o.change("k", "two")
		},
		"the process": func(o *origin) {
			o.with(func() { o.deaf = true })
			o.restart()
			o.Set("k", []byte("two"), 0, 0)
			o.with(func() { o.deaf = false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(r *rig) {
				o := r.only()
				o.change("k", "one")
				o.change("same", "one")
				synctest.Wait()
				r.want("before", "k", "one", 1)
				r.want("before", "same", "one", 1)
				lose(o)
				pass(time.Second + time.Millisecond)
				r.want("after the bound", "k", "two", 1)
				if name != "the process" {
					suspects := r.Stats().Revalidated
					r.want("after the bound", "same", "one", 1)
					if r.Stats().Revalidated != suspects+1 {
						t.Error("the value that did not change was transferred")
					}
				}
			})
		})
	}
}

func TestOwnWrites(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		ctx := r.t.Context()
		o := r.only()
		o.with(func() { o.held = true }) // no record arrives
		it := func(v string) *memcache.Item { return &memcache.Item{Key: "k", Value: []byte(v)} }
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ok(r.Add(ctx, it("1")))
		r.want("add", "k", "1", 1)
		ok(r.Set(ctx, it("2")))
		r.want("set", "k", "2", 1)
		r.want("set", "k", "2", 0)
		ok(r.Replace(ctx, it("3")))
		r.want("replace", "k", "3", 1)
		ok(r.Append(ctx, "k", []byte("4")))
		r.want("append", "k", "34", 1)
		ok(r.Prepend(ctx, "k", []byte("1")))
		r.want("prepend", "k", "134", 1)
		if n, err := r.Increment(ctx, "k", 1); n != 135 || err != nil {
			t.Fatal(n, err)
		}
		r.want("incr", "k", "135", 1)
		if n, err := r.Decrement(ctx, "k", 100); n != 35 || err != nil {
			t.Fatal(n, err)
		}
		r.want("decr", "k", "35 ", 1)
		got, err := r.Get(ctx, "k")
		ok(err)
		got.Value = []byte("7")
		ok(r.CompareAndSwap(ctx, got))
		r.want("cas", "k", "7", 1)
		ok(r.SetMulti(ctx, []*memcache.Item{it("8")}))
		r.want("set multi", "k", "8", 1)
		ok(r.Touch(ctx, "k", time.Hour))
		r.want("touch", "k", "8", 1)
		_, err = r.GetAndTouch(ctx, "k", 2*time.Second)
		ok(err)
		r.want("gat", "k", "8", 1)
		o.Advance(3 * time.Second)
		pass(3 * time.Second)
		r.want("expired", "k", "", 1)
		ok(r.Set(ctx, it("9")))
		r.want("set", "k", "9", 1)
		ok(r.DeleteMulti(ctx, []string{"k"}))
		r.want("delete multi", "k", "", 1)
		ok(r.Set(ctx, it("10")))
		r.want("set", "k", "10", 1)
		ok(r.FlushAll(ctx))
		r.want("flush", "k", "", 1)
		ok(r.Set(ctx, it("11")))
		r.want("set", "k", "11", 1)
		ok(r.Delete(ctx, "k"))
		r.want("delete", "k", "", 1)
		if err := r.Delete(ctx, "k"); err != memcache.ErrCacheMiss {
			t.Errorf("delete of nothing: %v", err)
		}
	})
}

func TestBoundOfACall(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		o := r.only()
		o.change("k", "one")
		synctest.Wait()
		r.want("first", "k", "one", 1)
		now := &rig{t: t, origins: r.origins, client: r.client, Cache: r.Within(0)}
		before := r.Stats().Revalidated
		now.want("within 0", "k", "one", 1)
		if r.Stats().Revalidated != before+1 {
			t.Error("the value was transferred")
		}
		o.with(func() { o.held = true })
		o.change("k", "two")
		pass(500 * time.Millisecond)
		r.want("within a second", "k", "one", 0)
		short := &rig{t: t, origins: r.origins, client: r.client, Cache: r.Within(100 * time.Millisecond)}
		short.want("within 100 ms", "k", "two", 1)
	})
}

func TestMissingKeys(t *testing.T) {
	inBubble(t, 1, &Options{Negative: 2 * time.Second}, func(r *rig) {
		o := r.only()
		r.want("first", "k", "", 1)
		r.want("second", "k", "", 0)
		if _, _, err := r.GetInto(r.t.Context(), "k", nil); err != memcache.ErrCacheMiss {
			t.Error(err)
		}
		o.change("k", "one")
		synctest.Wait()
		r.want("created", "k", "one", 1)
		r.want("other", "l", "", 1)
		pass(3 * time.Second)
		r.want("after its age", "l", "", 1)
	})
	inBubble(t, 1, nil, func(r *rig) {
		r.want("first", "k", "", 1)
		r.want("not kept", "k", "", 1)
	})
}

func TestLimitsOfWhatIsKept(t *testing.T) {
	never := func(key string) time.Duration {
		if key == "never" {
			return -1
		}
		return time.Second
	}
	inBubble(t, 1, &Options{MaxValue: 3, KeyMaxAge: never}, func(r *rig) {
		o := r.only()
		for _, key := range []string{"never", "k", "large"} {
			o.change(key, map[bool]string{true: "too long", false: "ok"}[key == "large"])
		}
		synctest.Wait()
		r.want("first", "never", "ok", 1)
		r.want("not kept", "never", "ok", 1)
		r.want("first", "large", "too long", 1)
		r.want("not kept", "large", "too long", 1)
		r.want("first", "k", "ok", 1)
		r.want("kept", "k", "ok", 0)
		pass(2 * time.Second)
		r.want("after its age", "k", "ok", 1)
	})
}

// TestStaleItemsAreNotKept: replies with X, W or Z are for their caller only.
func TestStaleItemsAreNotKept(t *testing.T) {
	inBubble(t, 1, &Options{Negative: time.Minute}, func(r *rig) {
		o := r.only()
		o.change("k", "one")
		synctest.Wait()
		if err := r.Invalidate(r.t.Context(), "k", time.Minute); err != nil {
			t.Fatal(err)
		}
		r.want("stale", "k", "one", 1)
		r.want("stale", "k", "one", 1)
		// A lease that another process has on a missing value.
		end := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.client.Fetch(context.Background(), "l", memcache.FetchOptions{}, func(context.Context) ([]byte, error) {
				<-end
				return []byte("loaded"), nil
			})
		}()
		synctest.Wait()
		r.want("leased", "l", "", 1)
		r.want("leased", "l", "", 1)
		close(end)
		<-done
		r.want("loaded", "l", "loaded", 1)
	})
}

func TestGetMulti(t *testing.T) {
	inBubble(t, 3, &Options{Negative: time.Minute}, func(r *rig) {
		var keys []string
		for i := range 20 {
			key := fmt.Sprint("key", i)
			keys = append(keys, key)
			if i%2 == 0 {
				r.origins[r.client.ServerFor(key)].change(key, "v"+key)
			}
		}
		synctest.Wait()
		for round := range 2 {
			before := r.reads()
			items, err := r.GetMulti(r.t.Context(), keys)
			if err != nil || len(items) != 10 {
				t.Fatalf("%d items, %v", len(items), err)
			}
			for key, it := range items {
				if string(it.Value) != "v"+key {
					t.Errorf("%s is %q", key, it.Value)
				}
			}
			if n := r.reads() - before; n != 20*(1-round) {
				t.Errorf("round %d: %d requests", round, n)
			}
		}
		r.origins[r.client.ServerFor("key4")].change("key4", "new")
		synctest.Wait()
		before := r.reads()
		items, err := r.GetMulti(r.t.Context(), keys)
		if err != nil || string(items["key4"].Value) != "new" || r.reads() != before+1 {
			t.Errorf("%q, %v, %d requests", items["key4"].Value, err, r.reads()-before)
		}
	})
}

func TestFetchAndTyped(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		ctx := r.t.Context()
		loads := 0
		load := func(context.Context) (int, error) { loads++; return 42, nil }
		typed := &Typed[int]{Cache: r.Cache}
		o := memcache.FetchOptions{TTL: time.Hour, NegativeTTL: time.Minute}
		for range 3 {
			if v, err := typed.Fetch(ctx, "n", o, load); v != 42 || err != nil || loads != 1 {
				t.Fatal(v, err, loads)
			}
		}
		before := r.reads()
		if v, err := typed.Fetch(ctx, "n", o, load); v != 42 || err != nil || r.reads() != before {
			t.Error(v, err, r.reads()-before)
		}
		if v, err := typed.Get(ctx, "n"); v != 42 || err != nil || r.reads() != before {
			t.Error(v, err)
		}
		missing := func(context.Context) ([]byte, error) { loads++; return nil, memcache.ErrNotFound }
		for range 3 {
			if _, err := r.Fetch(ctx, "none", o, missing); err != memcache.ErrNotFound || loads != 2 {
				t.Fatal(err, loads)
			}
		}
		if err := typed.Set(ctx, "n", 43, 0); err != nil {
			t.Fatal(err)
		}
		if m, err := typed.GetMulti(ctx, []string{"n", "m"}); err != nil || m["n"] != 43 || len(m) != 1 {
			t.Error(m, err)
		}
		all, err := typed.FetchMulti(ctx, []string{"n", "m"}, o, func(_ context.Context, keys []string) (map[string]int, error) {
			return map[string]int{keys[0]: 7}, nil
		})
		if err != nil || all["n"] != 43 || all["m"] != 7 {
			t.Error(all, err)
		}
		words := &Typed[string]{Cache: r.Cache, Codec: codec.Gob[string]()}
		if v, err := words.Fetch(ctx, "w", o, func(context.Context) (string, error) { return "word", nil }); v != "word" || err != nil {
			t.Error(v, err)
		}
		if err := typed.Delete(ctx, "n"); err != nil {
			t.Fatal(err)
		}
		if _, err := typed.Get(ctx, "n"); err != memcache.ErrCacheMiss {
			t.Error(err)
		}
		// A value that is about to be reloaded is left to the client.
		early := memcache.FetchOptions{TTL: 10 * time.Second, Early: 5 * time.Second}
		bytes := func(context.Context) ([]byte, error) { loads++; return []byte("b"), nil }
		for range 2 {
			r.Fetch(ctx, "early", early, bytes)
		}
		have := loads
		pass(6 * time.Second)
		r.only().Advance(6 * time.Second)
		r.Fetch(ctx, "early", early, bytes)
		synctest.Wait()
		if loads != have+1 {
			t.Errorf("%d loads, expected an early one", loads-have)
		}
	})
}

func TestServerWithoutInvalidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("10.0.0.1:11211")
		o.plain = true
		client, err := memcache.New(&memcache.Options{Dial: o.Dial}, "10.0.0.1:11211")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Server.Close()
		defer client.Close()
		_, err = New(t.Context(), client, nil)
		named, ok := errors.AsType[*memcache.Error](err)
		if !errors.Is(err, ErrNoInvalidations) || !ok || named.Server != "10.0.0.1:11211" {
			t.Fatalf("%v", err)
		}
		c, err := New(t.Context(), client, &Options{TTLOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		o.Set("k", []byte("one"), 0, 0)
		get := func() string {
			it, err := c.Get(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			return string(it.Value)
		}
		get()
		o.Set("k", []byte("two"), 0, 0)
		pass(time.Second)
		if v := get(); v != "one" || c.Stats().Hits != 1 || !c.Stats().Servers[0].NoInvalidations {
			t.Errorf("%q at the bound, %+v", v, c.Stats())
		}
		pass(time.Millisecond)
		if v := get(); v != "two" {
			t.Errorf("%q after the bound", v)
		}
	})
}

func TestServersChange(t *testing.T) {
	inBubble(t, 3, nil, func(r *rig) {
		ctx := r.t.Context()
		if err := r.SetServers(originNames[:2]...); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		home := make(map[string]string)
		for i := range 60 {
			key := fmt.Sprint("key", i)
			home[key] = r.client.ServerFor(key)
			for _, o := range r.origins {
				o.Set(key, []byte(o.name), 0, 0)
			}
			r.want("before", key, home[key], 1)
		}
		if err := r.client.SetServers(originNames...); err != nil { // as discovery does
			t.Fatal(err)
		}
		moved := 0
		for key, was := range home {
			is := r.client.ServerFor(key)
			if is != was {
				moved++
			}
			r.want("after", key, is, 1)
		}
		if moved == 0 {
			t.Error("no key moved")
		}
		pass(time.Second)
		for key := range home {
			r.Get(ctx, key)
			r.want("later", key, r.client.ServerFor(key), 0)
		}
		if err := r.SetServers(originNames[2]); err != nil {
			t.Fatal(err)
		}
		for key := range home {
			r.Get(ctx, key)
			r.want("one server left", key, originNames[2], 0)
		}
		if st := r.Stats(); len(st.Servers) != 1 {
			t.Errorf("%d servers in the statistics", len(st.Servers))
		}
	})
}

// TestBadFeeds: what does not belong to the protocol costs a counter, and no value
// becomes wrong or too old.
func TestBadFeeds(t *testing.T) {
	epoch := sequence.Epoch{1: 1}
	header := func(h wire.Header) []byte { return wire.AppendHeader(nil, &h) }
	lane := int(wire.Hash([]byte("k")) % testLanes)
	for name, msg := range map[string]zmq.Msg{
		"no frame":       {},
		"one frame":      {[]byte("i")},
		"other topic":    {[]byte("x\x00\x00"), header(wire.Header{Epoch: epoch}), nil},
		"short header":   {wire.AppendTopic(nil, 0), header(wire.Header{Epoch: epoch})[:20], nil},
		"no records":     {wire.AppendTopic(nil, 0), header(wire.Header{Epoch: epoch, First: 9, Count: 4000}), nil},
		"lane of header": {wire.AppendTopic(nil, 0), header(wire.Header{Lane: 1, Epoch: epoch}), nil},
		"odd operation":  {wire.AppendTopic(nil, 0), header(wire.Header{Epoch: epoch, First: 1, Count: 1}), make([]byte, 9)},
		"lane":           {wire.AppendTopic(nil, 77), header(wire.Header{Lane: 77, Epoch: epoch, First: 1}), nil},
		"backwards":      {wire.AppendTopic(nil, lane), header(wire.Header{Lane: lane, Epoch: epoch, First: 0}), nil},
		"earlier epoch":  {wire.AppendTopic(nil, 0), header(wire.Header{Epoch: sequence.Epoch{15: 1}, First: 3}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(r *rig) {
				o := r.only()
				for range 3 {
					o.change("k", "one")
					o.change("l", "one")
				}
				o.change("a", "one")
				o.change("b", "one")
				o.change("c", "one")
				synctest.Wait()
				r.want("before", "k", "one", 1)
				before := r.Stats().Servers[0]
				const n = 1000
				o.with(func() {
					for range n {
						o.queue = append(o.queue, msg)
					}
				})
				synctest.Wait()
				st := r.Stats().Servers[0]
				if st.Malformed+st.Ignored-before.Malformed-before.Ignored != n {
					t.Errorf("%d malformed, %d ignored, expected %d", st.Malformed, st.Ignored, n)
				}
				r.want("meanwhile", "k", "one", 0)
				o.change("k", "two")
				synctest.Wait()
				r.want("changed", "k", "two", 1)
			})
		})
	}
}

// TestBadFences: answers that are malformed, or to no question, make nothing fresh.
func TestBadFences(t *testing.T) {
	for name, answer := range map[string]func(nonce uint64) string{
		"other nonce": func(n uint64) string {
			return string(wire.AppendAnswer(nil, &wire.Fence{Nonce: n + 1, Epoch: sequence.Epoch{1: 1}, Last: make([]uint64, testLanes)}))
		},
		"old nonce": func(n uint64) string {
			return string(wire.AppendAnswer(nil, &wire.Fence{Nonce: 1, Epoch: sequence.Epoch{1: 1}, Last: make([]uint64, testLanes)}))
		},
		"not a number": func(uint64) string { return "HD Ox" },
		"numbers ahead": func(n uint64) string {
			return string(wire.AppendAnswer(nil, &wire.Fence{Nonce: n, Epoch: sequence.Epoch{1: 1}, Last: []uint64{1 << 63, 1 << 63}}))
		},
		"other epoch each time": func(n uint64) string {
			return string(wire.AppendAnswer(nil, &wire.Fence{Nonce: n, Epoch: sequence.Epoch{1: byte(n), 2: 1}, Last: make([]uint64, testLanes)}))
		},
		"other lanes each time": func(n uint64) string {
			return string(wire.AppendAnswer(nil, &wire.Fence{Nonce: n, Epoch: sequence.Epoch{1: 1}, Last: make([]uint64, 1+n%wire.MaxLanes)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(r *rig) {
				o := r.only()
				o.change("k", "one")
				synctest.Wait()
				r.want("before", "k", "one", 1)
				o.with(func() { o.answer = answer; o.dropped = true })
				o.change("k", "two")
				for range 10 {
					pass(300 * time.Millisecond)
				}
				r.want("after the bound", "k", "two", 1)
				if st := r.Stats().Servers[0]; st.Lag < 2*time.Second && st.Synced {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestEndpoints(t *testing.T) {
	for _, c := range [][3]string{
		{"tcp://*:5556", "10.0.0.1:11211", "tcp://10.0.0.1:5556"},
		{"tcp://0.0.0.0:5556", "cache.example:11211", "tcp://cache.example:5556"},
		{"tcp://[::]:5556", "[::1]:11211", "tcp://[::1]:5556"},
		{"tcp://10.1.1.1:5556", "10.0.0.1:11211", "tcp://10.1.1.1:5556"},
		{"tcp://*:5556", "/run/cache.sock", "tcp://127.0.0.1:5556"},
		{"ipc:///run/feed", "/run/cache.sock", "ipc:///run/feed"},
		{"tcp://nonsense", "a:1", "tcp://nonsense"},
	} {
		if got := reachable(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s: %s, expected %s", c[0], c[1], got, c[2])
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	client, err := memcache.New(nil, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, o := range []Options{{MaxBytes: -1}, {MaxValue: -1}, {MaxStale: time.Millisecond}, {MaxAge: -1}, {Negative: -1}} {
		if c, err := New(t.Context(), client, &o); err == nil {
			c.Close()
			t.Errorf("%+v: no error", o)
		}
	}
}

// TestHitAllocates: a hit of GetInto does not.
func TestHitAllocates(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		r.only().change("k", "value")
		synctest.Wait()
		ctx := r.t.Context()
		r.want("first", "k", "value", 1)
		buf := make([]byte, 0, 100)
		if n := testing.AllocsPerRun(100, func() { r.GetInto(ctx, "k", buf) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func TestClosed(t *testing.T) {
	inBubble(t, 1, nil, func(r *rig) {
		r.only().change("k", "one")
		synctest.Wait()
		r.want("first", "k", "one", 1)
		r.Close()
		r.want("closed", "k", "one", 1)
		r.want("closed", "k", "one", 1)
	})
}
