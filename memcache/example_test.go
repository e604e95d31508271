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
	"lintel.dev/memcache/discovery"
	"lintel.dev/memcache/memcachetest"
)

// server starts a server for the examples.
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

// Cache-aside in one call: on a miss, one caller loads the value and stores it.
func ExampleClient_Fetch() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		v, err := c.Fetch(context.Background(), "square:12", memcache.FetchOptions{TTL: time.Hour}, func(context.Context) ([]byte, error) {
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

// After the end of the TTL, callers get the old value while one of them reloads it.
func ExampleClient_Fetch_stale() {
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
		_, err := c.Fetch(context.Background(), "user:404", o, func(context.Context) ([]byte, error) {
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
	users := &memcache.Typed[user]{Cache: c}
	u, err := users.Fetch(context.Background(), "user:1", memcache.FetchOptions{TTL: time.Hour}, func(context.Context) (user, error) {
		return user{"Ada"}, nil
	})
	fmt.Println(u.Name, err)
	it, _ := c.Get(context.Background(), "user:1")
	fmt.Printf("%s\n", it.Value)
	// Output:
	// Ada <nil>
	// {"Name":"Ada"}
}

// GetMulti asks all servers at once and returns what those have that answer.
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
	c.Set(ctx, &memcache.Item{Key: "cart", Value: []byte("coffee")}) // another client
	it.Value = append(it.Value, ", milk"...)
	err = c.CompareAndSwap(ctx, it)
	fmt.Println(errors.Is(err, memcache.ErrCASConflict))
	// Output:
	// true
}

// A group of keys that is invalidated as a whole.
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
	shop.InvalidateAll(ctx)
	_, err = shop.Get(ctx, "prices")
	fmt.Println("after:", err)
	// Output:
	// before: <nil>
	// after: memcache: cache miss
}

// A source names the servers of the fleet, and is asked again at an interval.
func ExampleFollow() {
	src := discovery.Func(func(context.Context) ([]string, error) {
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

// Views compose: values of one type, in a group of keys that is invalidated as a whole.
func ExampleTyped_namespace() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	type price struct{ Cents int }
	shop := c.Namespace("shop:7", time.Minute)
	prices := &memcache.Typed[price]{Cache: shop}
	for range 2 {
		p, err := prices.Fetch(ctx, "tea", memcache.FetchOptions{TTL: time.Hour}, func(context.Context) (price, error) {
			fmt.Println("loading")
			return price{250}, nil
		})
		fmt.Println(p.Cents, err)
	}
	fmt.Println(shop.InvalidateAll(ctx))
	_, err = prices.Get(ctx, "tea")
	fmt.Println(err)
	// Output:
	// loading
	// 250 <nil>
	// 250 <nil>
	// <nil>
	// memcache: cache miss
}
