package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/memcache"
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
		src := memcache.SourceFunc(func(context.Context) ([]string, error) {
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

func TestFileSource(t *testing.T) {
	path := t.TempDir() + "/fleet"
	src := memcache.FileSource(path)
	if _, err := src.Servers(t.Context()); err == nil {
		t.Error("a file that is not there is read")
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# fleet\na:1:2=x\n\n  b  # the other\n")
	if got, err := src.Servers(t.Context()); err != nil || fmt.Sprint(got) != "[a:1:2=x b]" {
		t.Errorf("%v, %v", got, err)
	}
	write("a:x\n")
	if _, err := src.Servers(t.Context()); err == nil {
		t.Error("a bad line is accepted")
	}
	write("# none\n")
	_, err := src.Servers(t.Context())
	wantErr(t, "empty", err, memcache.ErrNoServers)
}

type srv []*net.SRV

func (s srv) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	if len(s) == 0 {
		return "", nil, errors.New("no such service")
	}
	return "", s, nil
}

func TestDNSSources(t *testing.T) {
	r := &names{hosts: map[string][]string{"cache": {"10.0.0.2", "10.0.0.1", "2001:db8::1", "10.0.0.2"}}}
	got, err := memcache.DNSSource("cache", 11211, r).Servers(t.Context())
	if err != nil || fmt.Sprint(got) != "[10.0.0.1:11211 10.0.0.2:11211 [2001:db8::1]:11211]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := memcache.DNSSource("none", 11211, r).Servers(t.Context()); err == nil {
		t.Error("an unknown name has servers")
	}
	got, err = memcache.SRVSource("memcache", "svc", srv{{Target: "b.svc.", Port: 2, Weight: 5}, {Target: "a.svc.", Port: 1}}).Servers(t.Context())
	if err != nil || fmt.Sprint(got) != "[a.svc:1 b.svc:2:5]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := memcache.SRVSource("memcache", "svc", srv{}).Servers(t.Context()); err == nil {
		t.Error("an unknown service has servers")
	}
}

func TestNamespace(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *memcachetest.Server, client func() *memcache.Client) {
		ctx := t.Context()
		a := client().Namespace("user:7", 0)
		b := client().Namespace("user:7", 10*time.Second)
		if err := a.Set(ctx, &memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if it, err := b.Get(ctx, "k"); err != nil || string(it.Value) != "v" {
			t.Errorf("%+v, %v", it, err)
		}
		if err := a.Invalidate(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := a.Get(ctx, "k")
		wantErr(t, "at once where it is asked each time", err, memcache.ErrCacheMiss)
		if _, err := b.Get(ctx, "k"); err != nil {
			t.Errorf("within maxAge: %v", err)
		}
		pass(11 * time.Second)
		_, err = b.Get(ctx, "k")
		wantErr(t, "after maxAge", err, memcache.ErrCacheMiss)

		// A version that was evicted never comes back.
		before, _ := a.Key(ctx, "k")
		a.Set(ctx, &memcache.Item{Key: "k", Value: []byte("old")})
		if err := client().Delete(ctx, "ns:user:7"); err != nil {
			t.Fatal(err)
		}
		pass(time.Millisecond)
		if after, err := a.Key(ctx, "k"); err != nil || after <= before {
			t.Errorf("%s after %s, %v", after, before, err)
		}
		l := &loader{}
		o := memcache.FetchOptions{TTL: time.Minute}
		wantValue(t, "fetch", "v1")(a.Fetch(ctx, "f", o, l.load))
		wantValue(t, "fetch", "v1")(a.Fetch(ctx, "f", o, l.load))
		if err := a.Delete(ctx, "f"); err != nil {
			t.Error(err)
		}
		client().Delete(ctx, "ns:user:7")
		if err := a.Invalidate(ctx); err != nil {
			t.Error(err)
		}
		wantValue(t, "fetch", "v2")(a.Fetch(ctx, "f", o, l.load))
	})
}
