package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	memcache "lintel.dev/memcache/grafana"
	"lintel.dev/memcache/memcachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client returns a client of a server in memory. The caller closes both.
func client(s *memcachetest.Server) *memcache.Client {
	c := memcache.New("10.0.0.1:11211", "10.0.0.2:11211")
	c.DialTimeout = func(network, address string, timeout time.Duration) (net.Conn, error) {
		if timeout != memcache.DefaultTimeout {
			return nil, fmt.Errorf("timeout %v", timeout)
		}
		return s.Dial(context.Background(), network, address)
	}
	return c
}

// slabs counts what it hands out.
type slabs struct {
	mu       sync.Mutex // protects gets
	gets     int
	returned int
}

func (a *slabs) Get(sz int) *[]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gets++
	b := make([]byte, 3, sz+100)
	return &b
}

func (a *slabs) Put(*[]byte) { a.returned++ }

func TestGrafana(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memcachetest.New(nil)
		defer s.Close()
		c := client(s)
		defer c.Close()
		is := func(what string, err, want error) {
			t.Helper()
			if err != want {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		is("set", c.Set(&memcache.Item{Key: "a", Value: []byte("1"), Flags: 7, Expiration: 60}), nil)
		is("add", c.Add(&memcache.Item{Key: "a"}), memcache.ErrNotStored)
		is("replace", c.Replace(&memcache.Item{Key: "b"}), memcache.ErrNotStored)
		alloc := new(slabs)
		it, err := c.Get("a", memcache.WithAllocator(alloc))
		if err != nil || string(it.Value) != "1" || it.Flags != 7 || cap(it.Value) < 100 || alloc.gets != 1 {
			t.Errorf("%+v, %v, %d slabs", it, err, alloc.gets)
		}
		it.Value = []byte("2")
		is("cas", c.CompareAndSwap(it), nil)
		is("second cas", c.CompareAndSwap(it), memcache.ErrCASConflict)
		is("set", c.Set(&memcache.Item{Key: "b", Value: []byte("10")}), nil)
		m, err := c.GetMulti(t.Context(), []string{"a", "b", "c"}, memcache.WithAllocator(alloc))
		if err != nil || len(m) != 2 || string(m["a"].Value) != "2" || alloc.gets != 3 || alloc.returned != 0 {
			t.Errorf("%v, %v, %+v", m, err, alloc)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if m, err := c.GetMulti(ended, []string{"a"}); m != nil || !errors.Is(err, context.Canceled) || err.Error() != "memcache GetMulti: context canceled" {
			t.Errorf("%v, %v", m, err)
		}
		if m, err := c.GetMulti(t.Context(), []string{"a", "b c"}); m != nil || err != memcache.ErrMalformedKey {
			t.Errorf("%v, %v", m, err)
		}
		if n, err := c.Increment("b", 5); n != 15 || err != nil {
			t.Error(n, err)
		}
		if n, err := c.Decrement("b", 20); n != 0 || err != nil {
			t.Error(n, err)
		}
		is("touch", c.Touch("a", 60), nil)
		is("delete", c.Delete("a"), nil)
		_, err = c.Get("a")
		is("miss", err, memcache.ErrCacheMiss)
		is("ping", c.Ping(), nil)
		is("flush", c.FlushAll(), nil)
		if s.Len() != 0 {
			t.Error("items are left")
		}
		if addrs, err := memcache.ResolveServers([]string{"127.0.0.1:1", "/run/x"}); err != nil || fmt.Sprint(addrs) != "[127.0.0.1:1 /run/x]" {
			t.Errorf("%v, %v", addrs, err)
		}
	})
}

// TestIdle: connections that no call uses are closed after two to three minutes, unless
// the headroom is negative.
func TestIdle(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := memcachetest.New(nil)
			defer s.Close()
			c := client(s)
			defer c.Close()
			if keep {
				c.MinIdleConnsHeadroomPercentage = -1
			}
			for range 10 {
				if err := c.Ping(); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Minute)
				if n := s.Conns(); n != 2 {
					t.Errorf("%d connections in use", n)
				}
			}
			<-time.After(3 * time.Minute)
			synctest.Wait()
			if n := s.Conns(); keep && n != 2 || !keep && n != 0 {
				t.Errorf("headroom is negative: %v, %d idle connections", keep, n)
			}
			if err := c.Ping(); err != nil {
				t.Error(err)
			}
		})
	}
}
