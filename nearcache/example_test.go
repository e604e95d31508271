package nearcache_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcached"
	"lintel.dev/nearcache"
	"lintel.dev/nearcache/server"
)

// A server with invalidations, a reader with a near cache, and a writer without.
func Example() {
	ctx := context.Background()
	feed, err := server.New(&server.Config{Endpoints: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		log.Fatal(err)
	}
	defer feed.Close()
	srv, err := memcached.New(memcached.Options{Feed: feed})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Shutdown(ctx)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(ln)

	client, err := memcache.New(nil, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	near, err := nearcache.New(ctx, client, &nearcache.Options{MaxStale: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer near.Close()

	writer, err := memcache.New(nil, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close()
	set := func(v string) {
		if err := writer.Set(ctx, &memcache.Item{Key: "k", Value: []byte(v)}); err != nil {
			log.Fatal(err)
		}
	}
	get := func() string {
		it, err := near.Get(ctx, "k")
		if err != nil {
			log.Fatal(err)
		}
		return string(it.Value)
	}

	set("one")
	for near.Stats().Hits < 1000 {
		get()
	}
	fmt.Println(get(), "from memory")
	set("two")
	for get() == "one" {
	}
	fmt.Println(get(), "before a second has passed")
	// Output:
	// one from memory
	// two before a second has passed
}
