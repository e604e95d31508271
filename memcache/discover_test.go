package memcache_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/discovery"
	"lintel.dev/memcache/memcachetest"
)

func TestDiscover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := memcachetest.New(&memcachetest.Options{Cluster: "cache-a|10.0.0.1|11211 |10.0.0.2|11311"})
		defer one.Close()
		opts := &memcache.Options{Dial: one.Dial, ResolveEvery: -1}
		c, err := memcache.Discover(t.Context(), "10.0.0.1", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := strings.Join(c.Servers(), " "); got != "cache-a:11211 10.0.0.2:11311" {
			t.Errorf("servers %s", got)
		}
		plain := memcachetest.New(nil)
		defer plain.Close()
		_, err = memcache.Discover(t.Context(), "10.0.0.1", &memcache.Options{Dial: plain.Dial})
		wantErr(t, "no cluster", err, memcache.ErrServer)
	})
}

func TestDiscoverBad(t *testing.T) {
	for _, answer := range []string{
		"CONFIG cluster 0 99999999999\r\n", "CONFIG cluster 0 -1\r\n", "CONFIG cluster 0 3\r\n1\na\r\nEND\r\n",
		"CONFIG cluster 0 6\r\nx\na|b|c\r\nEND\r\n", "CONFIG cluster 0 8\r\n1\na|b|99999\r\nEND\r\n", "CONFIG cluster 0 2\r\n1\n\r\nEND\r\n",
		"CONFIG cluster 0 8\r\n1\na||0\n\r\r\n", "", "VALUE x 0 0\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := memcache.Discover(t.Context(), "10.0.0.1", &memcache.Options{Dial: dialScript(t, func(n int, s *scripted) {
				s.line()
				s.send(answer)
			})})
			if err == nil {
				t.Errorf("%q is accepted", answer)
			}
		})
	}
}

// TestFollow: the fleet follows its source, and stays when the source fails.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork("10.0.0.1", "10.0.0.2")
		defer n.close()
		var mu sync.Mutex // protects list and fails
		list, fails := []string{"10.0.0.1"}, false
		now := func(f bool, servers ...string) {
			mu.Lock()
			defer mu.Unlock()
			fails, list = f, servers
		}
		src := discovery.Func(func(context.Context) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			if fails {
				return nil, errors.New("cannot tell")
			}
			return list, nil
		})
		c, err := memcache.Follow(t.Context(), src, 10*time.Second, &memcache.Options{Dial: n.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := func(servers ...string) {
			t.Helper()
			pass(11 * time.Second)
			if got := c.Servers(); !slices.Equal(got, servers) {
				t.Errorf("servers %v, want %v", got, servers)
			}
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		want("10.0.0.1:11211")
		now(false, "10.0.0.1", "10.0.0.2")
		want("10.0.0.1:11211", "10.0.0.2:11211")
		now(true)
		want("10.0.0.1:11211", "10.0.0.2:11211")
		now(false)
		want("10.0.0.1:11211", "10.0.0.2:11211")
		now(false, "not:a:server")
		want("10.0.0.1:11211", "10.0.0.2:11211")
		now(false, "10.0.0.2")
		want("10.0.0.2:11211")
		synctest.Wait()
		if n := n.servers["10.0.0.1"].Conns(); n != 0 {
			t.Errorf("%d connections to the server that left", n)
		}
	})
}
