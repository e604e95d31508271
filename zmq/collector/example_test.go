package collector_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/zmq"
	"lintel.dev/zmq/collector"
)

func Example() {
	pull, err := zmq.NewPull()
	if err != nil {
		log.Fatal(err)
	}
	defer pull.Close()
	push, err := zmq.NewPush()
	if err != nil {
		log.Fatal(err)
	}
	defer push.Close()

	sockets := collector.New()
	sockets.Add("orders", pull)
	registry := prometheus.NewRegistry()
	registry.MustRegister(sockets) // and promhttp.HandlerFor(registry, ...)

	if _, err := pull.Bind("inproc://orders"); err != nil {
		log.Fatal(err)
	}
	if _, err := push.Connect("inproc://orders"); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := push.SendBytes(ctx, []byte("one coffee")); err != nil {
		log.Fatal(err)
	}
	if _, err := pull.RecvBytes(ctx); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "lintel_zmq_messages_total" {
			for _, m := range f.GetMetric() {
				fmt.Println(m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// in 1
	// out 0
}
