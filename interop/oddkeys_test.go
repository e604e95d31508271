package interop_test

import (
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcache"
)

// TestOddKeys checks that keys sent in base64 are the same keys for memcached
// and for Lintel when they arrive in another form.
func TestOddKeys(t *testing.T) {
	// memcached's key dump misses items that move between its LRUs meanwhile.
	still := peers.Memcached(t, "-o", "no_lru_maintainer")
	for name, addr := range map[string]string{"memcached": still, "lintel": embedded(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := guard(t)
			c, err := memcache.New(patient(&memcache.Options{EncodeKeys: true}), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			keys := []string{"a b", "\r\n", "\x00\x01\xff", "clé", "plain"}
			for _, key := range keys {
				if err := c.Set(ctx, &memcache.Item{Key: key, Value: []byte(key)}); err != nil {
					t.Errorf("%q: %v", key, err)
				}
				if it, err := c.Get(ctx, key); err != nil || string(it.Value) != key {
					t.Errorf("%q: %+v, %v", key, it, err)
				}
			}
			got, err := c.GetMulti(ctx, keys)
			if err != nil || len(got) != len(keys) {
				t.Errorf("%d of %d keys, %v", len(got), len(keys), err)
			}
			stored := map[string]bool{}
			if err := c.Keys(ctx, func(k memcache.KeyInfo) error { stored[k.Key] = true; return nil }); err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				if !stored[key] {
					t.Errorf("the server does not list %q: %v", key, stored)
				}
			}
			if err := c.DeleteMulti(ctx, keys); err != nil {
				t.Error(err)
			}
		})
	}
}
