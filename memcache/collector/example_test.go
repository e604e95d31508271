package collector_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/memcache"
	"lintel.dev/memcache/collector"
	"lintel.dev/memcache/memcachetest"
)

func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()

	metrics := collector.New("shop")
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	c, err := memcache.New(&memcache.Options{Hooks: metrics.Hooks()}, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "a", Value: []byte("1")})
	c.Get(ctx, "a")
	c.Get(ctx, "b")

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "shop_memcache_keys_total" {
			for _, m := range f.GetMetric() {
				fmt.Println("found:", m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// found: no 1
	// found: yes 1
}
