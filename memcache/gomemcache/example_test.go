package memcache_test

import (
	"fmt"
	"log"
	"net"

	memcache "lintel.dev/memcache/gomemcache"
	"lintel.dev/memcache/memcachetest"
)

// The import is all that changes in a program written for gomemcache.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := memcachetest.New(nil)
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(l) }()
	defer func() { s.Close(); <-served }()

	mc := memcache.New(l.Addr().String())
	defer mc.Close()
	fmt.Println(mc.Set(&memcache.Item{Key: "foo", Value: []byte("my value"), Expiration: 60}))
	it, err := mc.Get("foo")
	fmt.Println(string(it.Value), err)
	_, err = mc.Get("bar")
	fmt.Println(err == memcache.ErrCacheMiss)
	// Output:
	// <nil>
	// my value <nil>
	// true
}
