package dskit_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/grafana/dskit/cache"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"lintel.dev/memcache/dskit"
	"lintel.dev/memcache/memcachetest"
)

func TestMain(m *testing.M) {
	// The resolver of dskit's DNS provider reloads resolv.conf for good: the
	// provider has no way to stop it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/grafana/dskit/dns/miekgdns.(*Resolver).loop"))
}

// client has the methods of both implementations.
type client interface {
	cache.Cache
	Increment(ctx context.Context, key string, delta uint64) (uint64, error)
	Decrement(ctx context.Context, key string, delta uint64) (uint64, error)
	Touch(ctx context.Context, key string, ttl time.Duration) error
	CompareAndSwap(ctx context.Context, key string, value []byte, ttl time.Duration) error
	FlushAll(ctx context.Context) error
}

// implementations are dskit's client and ours.
var implementations = map[string]func(log.Logger, string, cache.MemcachedClientConfig, prometheus.Registerer) (client, error){
	"dskit": func(l log.Logger, name string, c cache.MemcachedClientConfig, reg prometheus.Registerer) (client, error) {
		return cache.NewMemcachedClientWithConfig(l, name, c, reg)
	},
	"lintel": func(l log.Logger, name string, c cache.MemcachedClientConfig, reg prometheus.Registerer) (client, error) {
		return dskit.New(l, name, c, reg)
	},
}

func config(addresses ...string) cache.MemcachedClientConfig {
	var c cache.MemcachedClientConfig
	c.RegisterFlagsWithPrefix("", flag.NewFlagSet("", flag.PanicOnError))
	c.Addresses = addresses
	c.Timeout, c.ConnectTimeout = time.Minute, time.Minute
	return c
}

// each runs a test with each implementation and servers of its own.
func each(t *testing.T, change func(*cache.MemcachedClientConfig), test func(t *testing.T, c client, reg *prometheus.Registry)) {
	for name, make := range implementations {
		t.Run(name, func(t *testing.T) {
			a, _ := memcachetest.Start(t, nil)
			b, _ := memcachetest.Start(t, nil)
			cfg := config(a, b)
			if change != nil {
				change(&cfg)
			}
			reg := prometheus.NewRegistry()
			c, err := make(log.NewNopLogger(), "test", cfg, reg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Stop()
			test(t, c, reg)
		})
	}
}

// TestOperations compares results and errors with what dskit documents.
func TestOperations(t *testing.T) {
	each(t, nil, func(t *testing.T, c client, _ *prometheus.Registry) {
		ctx := t.Context()
		is := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: got error %v, expected %v", what, err, want)
			}
		}
		fails := func(what string, err error) {
			t.Helper()
			if err == nil {
				t.Errorf("%s: got no error", what)
			}
		}
		get := func(keys ...string) string {
			t.Helper()
			return fmt.Sprint(c.GetMulti(ctx, keys))
		}
		if c.Name() != "test" {
			t.Errorf("got name %q", c.Name())
		}
		is("set", c.Set(ctx, "foo", []byte("bar"), time.Minute), nil)
		is("without a TTL", c.Set(ctx, "ever", []byte("x"), 0), nil)
		is("short TTL", c.Set(ctx, "short", []byte("x"), 100*time.Millisecond), cache.ErrInvalidTTL)
		is("long TTL", c.Set(ctx, "long", []byte("x"), 31*24*time.Hour), cache.ErrInvalidTTL)
		is("add", c.Add(ctx, "new", []byte("x"), time.Minute), nil)
		is("add of what is there", c.Add(ctx, "foo", []byte("x"), time.Minute), cache.ErrNotStored)
		if got := get("foo", "ever", "short", "new", "none"); got != fmt.Sprint(map[string][]byte{"foo": []byte("bar"), "ever": []byte("x"), "new": []byte("x")}) {
			t.Errorf("got %s", got)
		}
		is("delete", c.Delete(ctx, "foo"), nil)
		fails("delete of nothing", c.Delete(ctx, "foo"))
		is("set of a number", c.Set(ctx, "n", []byte("5"), 0), nil)
		if n, err := c.Increment(ctx, "n", 2); n != 7 || err != nil {
			t.Errorf("increment: got %d, %v", n, err)
		}
		if n, err := c.Decrement(ctx, "n", 10); n != 0 || err != nil {
			t.Errorf("decrement: got %d, %v", n, err)
		}
		is("touch", c.Touch(ctx, "n", time.Minute), nil)
		fails("touch of nothing", c.Touch(ctx, "none", time.Minute))
		fails("compare and swap without an id", c.CompareAndSwap(ctx, "n", []byte("1"), time.Minute))
		fails("a key with a space", c.Set(ctx, "a b", nil, 0))
		is("too large: skipped", c.Set(ctx, "large", make([]byte, 2<<20), 0), nil)
		if got := get("large"); got != "map[]" {
			t.Errorf("got %s for a value that is too large", got)
		}

		over, cancel := context.WithCancel(ctx)
		cancel()
		is("cancelled set", c.Set(over, "foo", nil, 0), context.Canceled)
		is("cancelled delete", c.Delete(over, "foo"), context.Canceled)
		if got := c.GetMulti(over, []string{"n"}); got != nil {
			t.Errorf("cancelled GetMulti: got %v, expected nil", got)
		}
		if got, err := c.GetMultiWithError(ctx, nil); got != nil || err != nil {
			t.Errorf("no keys: got %v, %v", got, err)
		}
		is("flush", c.FlushAll(ctx), nil)
		if got := get("ever", "new", "n"); got != "map[]" {
			t.Errorf("got %s after FlushAll", got)
		}
	})
}

// TestSharedKeys: each finds what the other stored, whichever server it is on.
func TestSharedKeys(t *testing.T) {
	a, _ := memcachetest.Start(t, nil)
	b, _ := memcachetest.Start(t, nil)
	clients := map[string]client{}
	for name, make := range implementations {
		c, err := make(log.NewNopLogger(), name, config(a, b), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		clients[name] = c
	}
	want, keys := map[string]string{}, []string(nil)
	for i := range 500 {
		writer := []string{"dskit", "lintel"}[i%2]
		key := fmt.Sprint("key", i)
		if err := clients[writer].Set(t.Context(), key, []byte(writer), 0); err != nil {
			t.Fatal(err)
		}
		want[key], keys = writer, append(keys, key)
	}
	for name, c := range clients {
		got := c.GetMulti(t.Context(), keys)
		if len(got) != len(want) {
			t.Errorf("%s finds %d of %d keys", name, len(got), len(want))
		}
		for key, value := range got {
			if string(value) != want[key] {
				t.Errorf("%s: %s: got %q, expected %q", name, key, value, want[key])
			}
		}
	}
}

func TestAsync(t *testing.T) {
	each(t, nil, func(t *testing.T, c client, _ *prometheus.Registry) {
		c.SetMultiAsync(map[string][]byte{"a": []byte("1"), "b": []byte("2")}, time.Minute)
		c.SetAsync("c", []byte("3"), 0)
		for len(c.GetMulti(t.Context(), []string{"a", "b", "c"})) < 3 {
			if err := t.Context().Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestQueueFull: what does not fit in the queue is dropped and counted.
func TestQueueFull(t *testing.T) {
	addr, server := memcachetest.Start(t, nil)
	block, entered := make(chan struct{}), make(chan struct{}, 10)
	server.Intercept(func(string) (string, bool) {
		entered <- struct{}{}
		<-block
		return "", false
	})
	defer close(block)
	cfg := config(addr)
	cfg.MaxAsyncConcurrency, cfg.MaxAsyncBufferSize = 1, 1
	reg := prometheus.NewRegistry()
	c, err := dskit.New(log.NewNopLogger(), "test", cfg, reg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetAsync("first", nil, 0)
	<-entered // the only worker waits for the server
	for range 3 {
		c.SetAsync("more", nil, 0)
	}
	if got := value(t, reg, "cache_operation_skipped_total", "operation", "set", "reason", "async-buffer-full"); got != 2 {
		t.Errorf("got %v sets dropped, expected 2", got)
	}
	t.Cleanup(c.Stop)
}

// slab is an allocator that counts.
type slab struct {
	mu        sync.Mutex
	got, back int
}

func (s *slab) Get(sz int) *[]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got++
	b := make([]byte, 0, sz)
	return &b
}

func (s *slab) Put(*[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back++
}

func TestAllocator(t *testing.T) {
	each(t, nil, func(t *testing.T, c client, _ *prometheus.Registry) {
		for _, key := range []string{"a", "b"} {
			if err := c.Set(t.Context(), key, []byte("value"), 0); err != nil {
				t.Fatal(err)
			}
		}
		s := &slab{}
		got := c.GetMulti(t.Context(), []string{"a", "b", "none"}, cache.WithAllocator(s))
		if len(got) != 2 || string(got["a"]) != "value" || s.got != 2 || s.back != 0 {
			t.Errorf("got %q with %d allocations and %d returned", got, s.got, s.back)
		}
	})
}

// TestMetrics: both implementations have the same metrics, with the same labels,
// types and buckets, and count the same.
func TestMetrics(t *testing.T) {
	found := map[string][]string{}
	counted := map[string][]string{}
	// With the gate, a cancelled GetMulti may be counted before or behind it.
	batch := func(c *cache.MemcachedClientConfig) { c.MaxGetMultiBatchSize, c.MaxGetMultiConcurrency = 0, 0 }
	each(t, batch, func(t *testing.T, c client, reg *prometheus.Registry) {
		ctx := t.Context()
		over, cancel := context.WithCancel(ctx)
		cancel()
		c.Set(ctx, "a", []byte("1"), 0)
		c.Set(ctx, "a", []byte("1"), time.Millisecond)
		c.Set(ctx, "a", make([]byte, 2<<20), 0)
		c.Set(ctx, "a b", nil, 0)
		c.Set(over, "a", nil, 0)
		c.Add(ctx, "a", []byte("1"), 0)
		c.Add(ctx, "b", []byte("1"), 0)
		c.GetMulti(ctx, []string{"a", "b", "c"})
		c.GetMulti(over, []string{"a"})
		c.Increment(ctx, "a", 1)
		c.Decrement(ctx, "none", 1)
		c.Touch(ctx, "a", time.Minute)
		c.Delete(ctx, "a")
		c.Delete(ctx, "a")
		c.FlushAll(ctx)
		found[t.Name()], counted[t.Name()] = describe(t, reg)
	})
	same(t, "series", found)
	same(t, "counts", counted)
}

// same compares the lists of both implementations.
func same(t *testing.T, what string, lists map[string][]string) {
	t.Helper()
	var theirs, ours []string
	for name, list := range lists {
		if strings.HasSuffix(name, "dskit") {
			theirs = list
		} else {
			ours = list
		}
	}
	if len(theirs) == 0 {
		t.Fatalf("%s: dskit has none", what)
	}
	for _, s := range theirs {
		if !slices.Contains(ours, s) {
			t.Errorf("%s: missing: %s", what, s)
		}
	}
	for _, s := range ours {
		if !slices.Contains(theirs, s) {
			t.Errorf("%s: not in dskit: %s", what, s)
		}
	}
}

// describe returns the series with their types, and the values of those that
// count.
func describe(t *testing.T, reg *prometheus.Registry) (series, counts []string) {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			line := fmt.Sprint(f.GetName(), " ", f.GetType(), " ", labels(m))
			for _, b := range m.GetHistogram().GetBucket() {
				line += fmt.Sprint(" ", b.GetUpperBound())
			}
			series = append(series, line)
			if strings.HasPrefix(f.GetName(), "cache_dns") {
				continue // lookups are counted by time
			}
			if f.GetType() == dto.MetricType_COUNTER {
				counts = append(counts, fmt.Sprint(line, " = ", m.GetCounter().GetValue()))
			} else if f.GetType() == dto.MetricType_HISTOGRAM {
				counts = append(counts, fmt.Sprint(f.GetName(), labels(m), " = ", m.GetHistogram().GetSampleCount()))
			}
		}
	}
	return series, counts
}

func labels(m *dto.Metric) map[string]string {
	l := map[string]string{}
	for _, p := range m.GetLabel() {
		l[p.GetName()] = p.GetValue()
	}
	delete(l, "addr") // of a server of one test
	return l
}

// value returns the counter that has the labels.
func value(t *testing.T, reg *prometheus.Registry, name string, pairs ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"name": "test", "backend": "memcached"}
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && maps.Equal(labels(m), want) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s%v", name, want)
	return 0
}

func TestConfigErrors(t *testing.T) {
	for what, change := range map[string]func(*cache.MemcachedClientConfig){
		"no addresses":  func(c *cache.MemcachedClientConfig) { c.Addresses = nil },
		"no goroutines": func(c *cache.MemcachedClientConfig) { c.MaxAsyncConcurrency = 0 },
		"no such file": func(c *cache.MemcachedClientConfig) {
			c.TLSEnabled, c.TLS.CAPath = true, "no such file"
		},
	} {
		cfg := config("127.0.0.1:1")
		change(&cfg)
		if _, err := dskit.New(log.NewLogfmtLogger(io.Discard), "test", cfg, nil); err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
}
