package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

// server starts a memcached of the examples' own; one of yours does as well.
func server() (addr string, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	return ln.Addr().String(), func() { s.Close(); <-done }
}

func Example() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()

	err = c.Set(ctx, &memcache.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Hour})
	fmt.Println("set:", err)
	it, err := c.Get(ctx, "greeting")
	fmt.Printf("get: %s, %v\n", it.Value, err)
	_, err = c.Get(ctx, "farewell")
	fmt.Println("miss:", errors.Is(err, memcache.ErrCacheMiss))
	// Output:
	// set: <nil>
	// get: hello, <nil>
	// miss: true
}

// Fetch is the whole of cache-aside: read, and on a miss load once for
// everybody and store.
func ExampleClient_Fetch() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		v, err := c.Fetch(context.Background(), "square:12", time.Hour, func(context.Context) ([]byte, error) {
			fmt.Println("computing")
			return []byte("144"), nil
		})
		fmt.Println(string(v), err)
	}
	// Output:
	// computing
	// 144 <nil>
	// 144 <nil>
}

// A value past its TTL is better than a wait: everybody has the old one while
// one caller loads it anew.
func ExampleClient_FetchWith() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	o := memcache.FetchOptions{
		TTL:         10 * time.Minute,
		Jitter:      0.1,
		Early:       30 * time.Second,
		Stale:       time.Hour,
		NegativeTTL: time.Minute,
	}
	for range 2 {
		_, err := c.FetchWith(context.Background(), "user:404", o, func(context.Context) ([]byte, error) {
			fmt.Println("asking the database")
			return nil, fmt.Errorf("no such user: %w", memcache.ErrNotFound)
		})
		fmt.Println("not found:", errors.Is(err, memcache.ErrNotFound))
	}
	// Output:
	// asking the database
	// not found: true
	// not found: true
}

func ExampleTyped() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	type user struct{ Name string }
	users := &memcache.Typed[user]{Client: c, Options: memcache.FetchOptions{TTL: time.Hour}}
	u, err := users.Fetch(context.Background(), "user:1", func(context.Context) (user, error) {
		return user{"Ada"}, nil
	})
	fmt.Println(u.Name, err)
	it, _ := c.Get(context.Background(), "user:1")
	fmt.Printf("%s\n", it.Value)
	// Output:
	// Ada <nil>
	// {"Name":"Ada"}
}

// Another client's placement: what it stored is found where it put it.
func ExamplePlacement() {
	ketama, err := memcache.Placement("ketama")
	if err != nil {
		log.Fatal(err)
	}
	c, err := memcache.New(&memcache.Options{Selector: ketama}, "127.0.0.71", "127.0.0.72:11211:2", "127.0.0.73:21213:3")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, key := range []string{"key:1", "key:2", "key:5"} {
		fmt.Println(key, c.ServerFor(key))
	}
	// Output:
	// key:1 127.0.0.72:11211
	// key:2 127.0.0.72:11211
	// key:5 127.0.0.73:21213
}

// GetMulti asks all servers at once; what they have comes even if one is down.
func ExampleClient_GetMulti() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	err = c.SetMulti(ctx, []*memcache.Item{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}})
	if err != nil {
		log.Fatal(err)
	}
	items, err := c.GetMulti(ctx, []string{"a", "b", "c"})
	fmt.Println(len(items), string(items["b"].Value), err)
	// Output:
	// 2 2 <nil>
}

func ExampleClient_CompareAndSwap() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "cart", Value: []byte("tea")})

	it, _ := c.Get(ctx, "cart")
	c.Set(ctx, &memcache.Item{Key: "cart", Value: []byte("coffee")}) // somebody else
	it.Value = append(it.Value, ", milk"...)
	err = c.CompareAndSwap(ctx, it)
	fmt.Println(errors.Is(err, memcache.ErrCASConflict))
	// Output:
	// true
}

// A group of keys that is forgotten as a whole.
func ExampleClient_Namespace() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	shop := c.Namespace("shop:7", 0)
	shop.Set(ctx, &memcache.Item{Key: "prices", Value: []byte("...")})
	_, err = shop.Get(ctx, "prices")
	fmt.Println("before:", err)
	shop.Invalidate(ctx)
	_, err = shop.Get(ctx, "prices")
	fmt.Println("after:", err)
	// Output:
	// before: <nil>
	// after: memcache: cache miss
}

// What a Python program pickled is not read, whatever it is.
func ExampleValueCodec() {
	python, err := memcache.ValueCodec("python")
	if err != nil {
		log.Fatal(err)
	}
	v, err := python.Decode([]byte("clé"), 16)
	fmt.Println(v, err)
	_, err = python.Decode([]byte("cos\nsystem\n"), 1)
	fmt.Println(errors.Is(err, memcache.ErrExecutable), err)
	// Output:
	// clé <nil>
	// true memcache: executable encoding refused: python pickle (flags 0x1)
}

// The fleet in a file, followed as it changes.
func ExampleFollow() {
	src := memcache.SourceFunc(func(context.Context) ([]string, error) {
		return []string{"10.0.0.1", "10.0.0.2"}, nil
	})
	c, err := memcache.Follow(context.Background(), src, time.Minute, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(strings.Join(c.Servers(), " "))
	// Output:
	// 10.0.0.1:11211 10.0.0.2:11211
}
