package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// inBubble runs a test with a fake server in fake time.
func inBubble(t *testing.T, opts *memcachetest.Options, test func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client)) {
	synctest.Test(t, func(t *testing.T) {
		s := memcachetest.New(opts)
		var clients []*memcache.Client
		test(t, s, func() *memcache.Client {
			c := newClient(t, &memcache.Options{Dial: s.Dial}, "10.0.0.1")
			clients = append(clients, c)
			return c
		})
		for _, c := range clients {
			c.Close()
		}
		s.Close()
	})
}

// loader counts its calls and says which one a value is from.
type loader struct {
	calls atomic.Int64
	takes time.Duration
	err   error
}

func (l *loader) load(ctx context.Context) ([]byte, error) {
	n := l.calls.Add(1)
	if l.takes > 0 {
		select {
		case <-time.After(l.takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	return fmt.Append(nil, "v", n), nil
}

func wantValue(t *testing.T, what, want string) func([]byte, error) {
	t.Helper()
	return func(got []byte, err error) {
		t.Helper()
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", what, got, err, want)
		}
	}
}

// TestStampede: a thousand callers in four processes, one load.
func TestStampede(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		l := &loader{takes: 300 * time.Millisecond}
		var wg sync.WaitGroup
		for range 4 {
			c := client()
			for range 250 {
				wg.Go(func() {
					wantValue(t, "fetch", "v1")(c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Minute}, l.load))
				})
			}
		}
		start := time.Now()
		wg.Wait()
		if n := l.calls.Load(); n != 1 {
			t.Errorf("load was called %d times", n)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the last caller waited %v", took)
		}
	})
}

// TestStampedeClassic: without leases it is one load a process.
func TestStampedeClassic(t *testing.T) {
	inBubble(t, &memcachetest.Options{ClassicOnly: true}, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		l := &loader{takes: 300 * time.Millisecond}
		var wg sync.WaitGroup
		for range 2 {
			c := client()
			for range 100 {
				wg.Go(func() {
					if v, err := c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Minute}, l.load); err != nil || len(v) != 2 {
						t.Errorf("%q, %v", v, err)
					}
				})
			}
		}
		wg.Wait()
		if n := l.calls.Load(); n != 2 {
			t.Errorf("load was called %d times", n)
		}
		c := client()
		if _, err := c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Minute}, l.load); err != nil || l.calls.Load() != 2 {
			t.Errorf("not stored: %v, %d loads", err, l.calls.Load())
		}
	})
}

// TestLostLease: when the process that has the lease dies, another one loads
// once the lease is over.
func TestLostLease(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		a, b := client(), client()
		end := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			a.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour, Lease: 3 * time.Second}, func(context.Context) ([]byte, error) {
				<-end
				return nil, errors.New("too late")
			})
		})
		synctest.Wait()
		start := time.Now()
		l := &loader{}
		wantValue(t, "other process", "v1")(b.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour, Lease: 3 * time.Second}, l.load))
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		close(end)
		wg.Wait()
		wantValue(t, "the late one changes nothing", "v1")(b.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, l.load))
	})
}

func TestStale(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c, d := client(), client()
		ctx := t.Context()
		l := &loader{takes: time.Second}
		o := memcache.FetchOptions{TTL: time.Minute, Stale: time.Minute}
		fetch := func(c *memcache.Client) ([]byte, error) { return c.Fetch(ctx, "k", o, l.load) }
		wantValue(t, "first", "v1")(fetch(c))
		pass(50 * time.Second)
		wantValue(t, "fresh", "v1")(fetch(c))
		pass(20 * time.Second)
		// After the TTL: one caller reloads, the others get the old value at once.
		var wg sync.WaitGroup
		wg.Go(func() { wantValue(t, "chosen", "v2")(fetch(c)) })
		synctest.Wait()
		start := time.Now()
		wantValue(t, "others", "v1")(fetch(d))
		wantValue(t, "others", "v1")(fetch(c))
		if time.Since(start) > 0 {
			t.Error("they waited")
		}
		wg.Wait()
		wantValue(t, "after", "v2")(fetch(d))
		// A load that fails leaves the old value in place, and the next try is
		// the next caller's.
		pass(70 * time.Second)
		l.err = errors.New("origin is down")
		wantValue(t, "origin down", "v2")(fetch(c))
		wantValue(t, "origin down", "v2")(fetch(d))
		if n := l.calls.Load(); n != 4 {
			t.Errorf("%d loads", n)
		}
		l.err = nil
		wantValue(t, "origin back", "v5")(fetch(c))
		// Past the stale time there is nothing to hand out.
		pass(3 * time.Minute)
		l.err = errors.New("down again")
		if v, err := fetch(c); err != l.err {
			t.Errorf("%q, %v", v, err)
		}
	})
}

func TestEarly(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		l := &loader{takes: time.Second}
		o := memcache.FetchOptions{TTL: time.Minute, Early: 10 * time.Second}
		fetch := func() ([]byte, error) { return c.Fetch(t.Context(), "k", o, l.load) }
		wantValue(t, "first", "v1")(fetch())
		pass(55 * time.Second)
		start := time.Now()
		for range 5 {
			wantValue(t, "in its last seconds", "v1")(fetch())
		}
		if time.Since(start) > 0 {
			t.Error("a caller waited")
		}
		pass(2 * time.Second)
		wantValue(t, "reloaded in the background", "v2")(fetch())
		if n := l.calls.Load(); n != 2 {
			t.Errorf("%d loads", n)
		}
		// If an early reload fails, all callers get the old value.
		l.err = errors.New("down")
		pass(55 * time.Second)
		for range 3 {
			wantValue(t, "origin down", "v2")(fetch())
			pass(time.Second)
		}
		pass(5 * time.Second)
		if _, err := fetch(); err != l.err {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestNegativeBesideStale: a short negative answer is not taken for a value
// about to end.
func TestNegativeBesideStale(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		l := &loader{err: memcache.ErrNotFound}
		o := memcache.FetchOptions{TTL: time.Minute, Early: time.Minute, Stale: time.Hour, NegativeTTL: 10 * time.Second}
		for range 3 {
			_, err := c.Fetch(t.Context(), "k", o, l.load)
			wantErr(t, "missing", err, memcache.ErrNotFound)
		}
		if n := l.calls.Load(); n != 1 {
			t.Errorf("%d loads", n)
		}
	})
}

func TestInvalidate(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		l := &loader{}
		fetch := func() ([]byte, error) {
			return c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, l.load)
		}
		wantValue(t, "first", "v1")(fetch())
		if err := c.Invalidate(t.Context(), "k", time.Minute); err != nil {
			t.Fatal(err)
		}
		wantValue(t, "invalidated", "v2")(fetch())
		wantValue(t, "again", "v2")(fetch())
		wantErr(t, "nothing there", c.Invalidate(t.Context(), "none", 0), memcache.ErrCacheMiss)
	})
}

func TestNegative(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			opts := peer.opts
			inBubble(t, &opts, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
				c := client()
				ctx := t.Context()
				l := &loader{err: fmt.Errorf("row 7: %w", memcache.ErrNotFound)}
				o := memcache.FetchOptions{TTL: time.Hour, NegativeTTL: 10 * time.Second}
				for range 3 {
					_, err := c.Fetch(ctx, "k", o, l.load)
					wantErr(t, "missing", err, memcache.ErrNotFound)
				}
				if n := l.calls.Load(); n != 1 {
					t.Errorf("%d loads", n)
				}
				pass(11 * time.Second)
				l.err = nil
				wantValue(t, "there now", "v2")(c.Fetch(ctx, "k", o, l.load))

				// Other errors are cached only when asked for.
				bad := &loader{err: errors.New("boom")}
				for range 2 {
					_, err := c.Fetch(ctx, "e", o, bad.load)
					wantErr(t, "boom", err, bad.err)
				}
				if n := bad.calls.Load(); n != 2 {
					t.Errorf("%d loads", n)
				}
				o.ErrorTTL = 5 * time.Second
				c.Fetch(ctx, "e", o, bad.load)
				_, err := c.Fetch(ctx, "e", o, bad.load)
				var cached *memcache.CachedError
				if !errors.As(err, &cached) || cached.Text != "boom" || bad.calls.Load() != 3 {
					t.Errorf("%v after %d loads", err, bad.calls.Load())
				}
			})
		})
	}
}

// TestPanic: a load that panics, or ends its goroutine, fails its callers and
// leaves the key free.
func TestPanic(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			opts := peer.opts
			inBubble(t, &opts, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
				c, d := client(), client()
				ctx := t.Context()
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, err := c.Fetch(ctx, "k", memcache.FetchOptions{TTL: time.Hour}, func(context.Context) ([]byte, error) {
							pass(time.Millisecond)
							panic("oh")
						})
						var p *memcache.PanicError
						if !errors.As(err, &p) || p.Value != "oh" || len(p.Stack) == 0 {
							t.Errorf("panic: %v", err)
						}
					})
				}
				wg.Wait()
				if _, err := c.Fetch(ctx, "k", memcache.FetchOptions{TTL: time.Hour}, func(context.Context) ([]byte, error) {
					runtime.Goexit()
					return nil, nil
				}); err == nil {
					t.Error("Goexit: no error")
				}
				start := time.Now()
				l := &loader{}
				wantValue(t, "afterwards", "v1")(d.Fetch(ctx, "k", memcache.FetchOptions{TTL: time.Hour}, l.load))
				if time.Since(start) > 0 {
					t.Error("the key was not free")
				}
			})
		})
	}
}

// TestLeavers: a caller that gives up does not end the load, the last one does,
// and so does the end of the client.
func TestLeavers(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		l := &loader{takes: time.Minute}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Fetch(short, "k", memcache.FetchOptions{TTL: time.Hour}, l.load)
			wantErr(t, "leaver", err, context.DeadlineExceeded)
		})
		wg.Go(func() {
			wantValue(t, "stayer", "v1")(c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, l.load))
		})
		wg.Wait()

		ended := make(chan error, 1)
		load := func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		short, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Fetch(short, "alone", memcache.FetchOptions{TTL: time.Hour}, load)
		wantErr(t, "last leaver", err, context.DeadlineExceeded)
		wantErr(t, "its load", <-ended, context.Canceled)
		pass(time.Second)
		l = &loader{}
		wantValue(t, "the lease is given back", "v1")(c.Fetch(t.Context(), "alone", memcache.FetchOptions{TTL: time.Hour}, l.load))

		wg.Go(func() { c.Fetch(t.Context(), "closing", memcache.FetchOptions{TTL: time.Hour}, load) })
		synctest.Wait()
		c.Close()
		wantErr(t, "closed", <-ended, context.Canceled)
		wg.Wait()
	})
}

// TestDeletedMeanwhile: what was loaded before a deletion is not stored after it.
func TestDeletedMeanwhile(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c, d := client(), client()
		v, err := c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, func(ctx context.Context) ([]byte, error) {
			if err := d.Delete(ctx, "k"); err != nil {
				t.Error(err)
			}
			return []byte("old"), nil
		})
		wantValue(t, "loaded", "old")(v, err)
		if v, _, ok := s.Get("k"); ok {
			t.Errorf("%q was stored", v)
		}
	})
}

// TestPlaceholder: what a lease leaves is a miss to plain reads.
func TestPlaceholder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c, d := client(), client()
		_, err := c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, func(ctx context.Context) ([]byte, error) {
			_, err := d.Get(ctx, "k")
			wantErr(t, "Get", err, memcache.ErrCacheMiss)
			_, _, err = d.GetInto(ctx, "k", nil)
			wantErr(t, "GetInto", err, memcache.ErrCacheMiss)
			if got, err := d.GetMulti(ctx, []string{"k"}); err != nil || len(got) != 0 {
				t.Errorf("GetMulti: %v, %v", got, err)
			}
			return []byte("v"), nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestJitter(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		l := &loader{}
		const n = 200
		for i := range n {
			c.Fetch(t.Context(), fmt.Sprint("k", i), memcache.FetchOptions{TTL: 1000 * time.Second, Jitter: 0.5}, l.load)
		}
		pass(490 * time.Second)
		if got := s.Len(); got != n {
			t.Errorf("%d of %d left before the shortest TTL", got, n)
		}
		pass(260 * time.Second)
		if got := s.Len(); got < n/4 || got > n*3/4 {
			t.Errorf("%d of %d left in the middle", got, n)
		}
		pass(260 * time.Second)
		if got := s.Len(); got != 0 {
			t.Errorf("%d left after the longest TTL", got)
		}
		for _, o := range []memcache.FetchOptions{{Jitter: 2}, {Jitter: -1}, {TTL: -1}} {
			if _, err := c.Fetch(t.Context(), "k", o, l.load); err == nil {
				t.Errorf("%+v is accepted", o)
			}
		}
	})
}

func TestFetchMulti(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		c := client()
		s.Set("a", []byte("A"), 0, 0)
		var asked [][]string
		load := func(_ context.Context, missing []string) (map[string][]byte, error) {
			asked = append(asked, missing)
			out := make(map[string][]byte)
			for _, k := range missing {
				if k != "never" {
					out[k] = []byte("loaded " + k)
				}
			}
			return out, nil
		}
		keys := []string{"a", "b", "never", "b"}
		o := memcache.FetchOptions{TTL: time.Minute, NegativeTTL: time.Second}
		for range 2 {
			got, err := c.FetchMulti(t.Context(), keys, o, load)
			if err != nil || len(got) != 2 || string(got["a"]) != "A" || string(got["b"]) != "loaded b" {
				t.Errorf("%q, %v", got, err)
			}
		}
		if fmt.Sprint(asked) != "[[b never]]" {
			t.Errorf("load was asked for %v", asked)
		}
		pass(2 * time.Second)
		boom := errors.New("boom")
		got, err := c.FetchMulti(t.Context(), keys, o, func(context.Context, []string) (map[string][]byte, error) { return nil, boom })
		if err != boom || len(got) != 2 {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestFetchWithoutCache: a cache that is down fails no call.
func TestFetchWithoutCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		c := newClient(t, &memcache.Options{Dial: n.dial}, "10.0.0.1")
		defer c.Close()
		l := &loader{}
		for i := range 3 {
			wantValue(t, "no cache", fmt.Sprint("v", i+1))(c.Fetch(t.Context(), "k", memcache.FetchOptions{TTL: time.Hour}, l.load))
		}
	})
}
