package collector_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/memcached"
	"lintel.dev/memcached/collector"
)

func Example() {
	server, err := memcached.New(memcached.Options{MemoryLimit: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Shutdown(context.Background())

	registry := prometheus.NewRegistry()
	registry.MustRegister(collector.New(server)) // and promhttp.HandlerFor(registry, ...)

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "memcached_limit_bytes" {
			fmt.Printf("%s %.0f\n", f.GetName(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: memcached_limit_bytes 67108864
}
