package interop_test

import (
	"errors"
	"fmt"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// placements are the clients that spread keys over servers, with the name of
// their rule in Lintel.
var placements = []struct {
	name      string
	placement string
	dial      maker
}{
	{"python-memcached", "python-memcached", python("memcache", "python-memcached")},
	{"pymemcache", "pymemcache", python("pymemcache", "pymemcache")},
	{"pylibmc", "libmemcached", python("pylibmc", "pylibmc")},
	{"pylibmc ketama", "libmemcached-ketama", python("pylibmc", "pylibmc-ketama")},
	{"pylibmc ketama weighted", "ketama", python("pylibmc", "pylibmc-ketama_weighted")},
	{"php", "libmemcached", php("text")},
	{"php libketama compatible", "ketama", php("ketama")},
	{"perl", "python-memcached", perl},
	{"dalli", "dalli", dalli},
}

// TestPlacement stores keys over three servers with one client and looks for
// each of them on the very server where the other expects it.
func TestPlacement(t *testing.T) {
	for _, p := range placements {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			selector, err := placement.New(p.placement)
			if err != nil {
				t.Fatal(err)
			}
			fleet := make([]string, 3)
			for i := range fleet {
				fleet[i] = peers.Memcached(t)
			}
			them := p.dial(t, fleet...)
			us, err := memcache.New(patient(&memcache.Options{Selector: selector}), fleet...)
			if err != nil {
				t.Fatal(err)
			}
			defer us.Close()
			each := map[string]*memcache.Client{} // each server alone
			for _, addr := range fleet {
				c, err := memcache.New(patient(nil), addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				each[addr] = c
			}

			ctx := guard(t)
			used := map[string]bool{}
			for i := range 300 {
				theirs, mine := fmt.Sprintf("user:%d:name", i), fmt.Sprintf("session/%x", i*7919)
				yes(t, them.set(theirs, raw(theirs), 0))
				home := us.ServerFor(theirs)
				if _, err := each[home].Get(ctx, theirs); err != nil {
					t.Errorf("%s is not on %s, where we expect what they store: %v", theirs, home, err)
				}
				used[home] = true

				if err := us.Set(ctx, &memcache.Item{Key: mine, Value: []byte(mine)}); err != nil {
					t.Fatal(err)
				}
				same(t, them.get(mine), raw(mine))
			}
			if len(used) != len(fleet) {
				t.Errorf("300 keys went to %d of %d servers", len(used), len(fleet))
			}

			// A key that the other client deleted is a miss.
			yes(t, them.delete("user:1:name"))
			if _, err := us.Get(ctx, "user:1:name"); !errors.Is(err, memcache.ErrCacheMiss) {
				t.Errorf("after their delete: %v", err)
			}
		})
	}
}

// TestTwemproxy stores keys through nutcracker. Each must be on the server
// where the placement of the same name looks for it.
func TestTwemproxy(t *testing.T) {
	for _, p := range []struct{ distribution, hash, tag, placement string }{
		{"ketama", "fnv1a_64", "", "twemproxy"},
		{"ketama", "md5", "", "twemproxy:md5"},
		{"ketama", "murmur", "", "twemproxy:murmur"},
		{"modula", "crc32", "", "twemproxy-modula:crc32"},
		{"modula", "one_at_a_time", "", "twemproxy-modula:one_at_a_time"},
		{"ketama", "crc16", "", "twemproxy:crc16"},
		{"modula", "crc16", "", "twemproxy-modula:crc16"},
		{"modula", "hsieh", "", "twemproxy-modula:hsieh"},
		{"ketama", "jenkins", "", "twemproxy:jenkins"},
		{"ketama", "fnv1_64", "", "twemproxy:fnv1_64"},
		{"modula", "crc32a", "", "twemproxy-modula:crc32a"},
		{"ketama", "fnv1a_64", "{}", "twemproxy:fnv1a_64:{}"},
		{"modula", "md5", "$$", "twemproxy-modula:md5:$$"},
	} {
		t.Run(p.placement, func(t *testing.T) {
			t.Parallel()
			selector, err := placement.New(p.placement)
			if err != nil {
				t.Fatal(err)
			}
			var theirs, fleet []string
			for i, name := range []string{"south", "north", "east"} { // modula sorts them
				addr := peers.Memcached(t)
				theirs = append(theirs, fmt.Sprintf("%s:%d %s", addr, i+1, name))
				fleet = append(fleet, fmt.Sprintf("%s:%d=%s", addr, i+1, name))
			}
			proxy, err := memcache.New(patient(nil), peers.Twemproxy(t, p.distribution, p.hash, p.tag, theirs...))
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Close()
			direct, err := memcache.New(patient(&memcache.Options{Selector: selector}), fleet...)
			if err != nil {
				t.Fatal(err)
			}
			defer direct.Close()

			ctx := guard(t)
			forms := []string{"objet-à-%d", "{user%d}:name", "a{b%d}c{d}", "{}%d", "{%d", "}%d{x}", "$%d$x", "$$%d$", "a$b%d"}
			for i := range 300 {
				key := fmt.Sprintf(forms[i%len(forms)], i)
				if err := proxy.Set(ctx, &memcache.Item{Key: key, Value: []byte(key)}); err != nil {
					t.Fatal(err)
				}
				it, err := direct.Get(ctx, key)
				if err != nil {
					t.Errorf("%s is not on %s: %v", key, direct.ServerFor(key), err)
				} else if string(it.Value) != key {
					t.Errorf("%s has the value %q", key, it.Value)
				}
			}
		})
	}
}
