package memcache_test

import (
	"context"
	"fmt"
	"log"
	"net"

	memcache "lintel.dev/memcache/grafana"
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

	c := memcache.New(ln.Addr().String())
	defer c.Close()
	fmt.Println(c.Set(&memcache.Item{Key: "chunk", Value: []byte("...")}))
	items, err := c.GetMulti(context.Background(), []string{"chunk", "other"})
	fmt.Println(len(items), err)
	// Output:
	// <nil>
	// 1 <nil>
}
