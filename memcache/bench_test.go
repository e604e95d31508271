package memcache_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// BenchmarkGet reads 100 bytes over and over: from the server that
// MEMCACHED names, else from one in the process that costs next to nothing.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			c := benchClient(b)
			ctx := b.Context()
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for g := range n {
				wg.Go(func() {
					for range (b.N + g) / n {
						if _, err := c.Get(ctx, "bench"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkGetInto(b *testing.B) {
	c := benchClient(b)
	ctx := b.Context()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = c.GetInto(ctx, "bench", buf[:0])
	}
}

func BenchmarkGetMulti(b *testing.B) {
	keys := make([]string, 50)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench:%d", i)
	}
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			c := cannedFleet(b, n)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.GetMulti(ctx, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchClient(b *testing.B) *memcache.Client {
	addr := os.Getenv("MEMCACHED")
	if addr == "" {
		return cannedFleet(b, 1)
	}
	c := dial(b, nil, addr)
	if err := c.Set(b.Context(), &memcache.Item{Key: "bench", Value: make([]byte, 100)}); err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkPick(b *testing.B) {
	for _, name := range placement.Names() {
		b.Run(name, func(b *testing.B) {
			sel, err := placement.New(name)
			if err != nil {
				b.Fatal(err)
			}
			var servers []placement.Server
			for i := range 16 {
				servers = append(servers, placement.Server{Host: fmt.Sprintf("10.0.0.%d", i), Port: 11211, Weight: 1})
			}
			p, err := sel.Place(servers)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Pick("user:12345:profile", nil)
			}
		})
	}
}
