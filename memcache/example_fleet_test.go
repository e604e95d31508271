package memcache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"lintel.dev/memcache"
)

// While a server is down, its keys are on a spare server, for ten seconds at most.
func ExampleOptions_failover() {
	spare, stop := server()
	defer stop()
	const gone = "/run/no-such-memcached" // no server listens on this unix socket
	c, err := memcache.New(&memcache.Options{
		Failover:  memcache.FailGutter,
		Gutter:    []string{spare},
		GutterTTL: 10 * time.Second,
	}, gone)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	fmt.Println("set:", c.Set(ctx, &memcache.Item{Key: "k", Value: []byte("v"), TTL: time.Hour}))
	it, err := c.Get(ctx, "k")
	fmt.Printf("get: %s, %v\n", it.Value, err)
	// Output:
	// set: <nil>
	// get: v, <nil>
}

// An Error has the server and the key. errors.Is finds the reason.
func ExampleError() {
	const gone = "/run/no-such-memcached" // no server listens on this unix socket
	c, err := memcache.New(nil, gone)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Get(context.Background(), "k")
	var of *memcache.Error
	fmt.Println(errors.As(err, &of) && of.Server == gone, errors.Is(err, memcache.ErrServerDown))
	// Output:
	// true true
}

// An invalidated value is reloaded by one caller. Until then the others get the old one.
func ExampleClient_Invalidate() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	version := 0
	page := func() {
		v, err := c.Fetch(ctx, "page", memcache.FetchOptions{TTL: time.Hour, Stale: time.Minute}, func(context.Context) ([]byte, error) {
			version++
			return fmt.Append(nil, "version ", version), nil
		})
		fmt.Println(string(v), err)
	}
	page()
	page()
	if err := c.Invalidate(ctx, "page", time.Minute); err != nil {
		log.Fatal(err)
	}
	page()
	// Output:
	// version 1 <nil>
	// version 1 <nil>
	// version 2 <nil>
}

// Many keys at once, with one load for those that are missing.
func ExampleClient_FetchMulti() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "b", Value: []byte("B")})
	got, err := c.FetchMulti(ctx, []string{"a", "b", "c"}, memcache.FetchOptions{TTL: time.Hour},
		func(_ context.Context, missing []string) (map[string][]byte, error) {
			fmt.Println("missing:", missing)
			out := map[string][]byte{}
			for _, key := range missing {
				out[key] = []byte(strings.ToUpper(key))
			}
			return out, nil
		})
	fmt.Printf("%s %s %s %v\n", got["a"], got["b"], got["c"], err)
	// Output:
	// missing: [a c]
	// A B C <nil>
}

// Hooks are called for every request. Package collector exports them to Prometheus.
func ExampleHooks() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(&memcache.Options{Hooks: memcache.Hooks{
		Done: func(_ context.Context, r memcache.Request) {
			fmt.Println(r.Command, r.Keys, r.Hits, r.Err)
		},
	}}, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "a", Value: []byte("1")})
	c.GetMulti(ctx, []string{"a", "b"})
	c.Get(ctx, "b")
	// Output:
	// set 1 0 <nil>
	// get_multi 2 1 <nil>
	// get 1 0 memcache: cache miss
}

// GetInto reads into the caller's buffer and does not allocate.
func ExampleClient_GetInto() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, &memcache.Item{Key: "k", Value: []byte("value"), Flags: 7})
	buf := make([]byte, 0, 64)
	buf, flags, err := c.GetInto(ctx, "k", buf)
	fmt.Println(string(buf), flags, err)
	// Output:
	// value 7 <nil>
}

// The servers of a fleet can change while requests are in flight.
func ExampleClient_SetServers() {
	c, err := memcache.New(nil, "10.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = c.SetServers("10.0.0.1", "10.0.0.2:11311")
	fmt.Println(c.Servers(), err)
	// Output:
	// [10.0.0.1:11211 10.0.0.2:11311] <nil>
}
