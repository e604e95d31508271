package memcache_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/codec"
	"lintel.dev/memcache/memcachetest"
)

// After the end of the TTL, the callers get the old value while one of them reloads it.
func ExampleFetchOptions_stale() {
	ln := listen("tcp", "127.0.0.1:0")
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()
	c, err := memcache.New(nil, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	o := memcache.FetchOptions{TTL: time.Minute, Stale: time.Hour}
	get := func(load func(context.Context) ([]byte, error)) string {
		v, err := c.Fetch(context.Background(), "page", o, load)
		if err != nil {
			return err.Error()
		}
		return string(v)
	}
	fmt.Println(get(func(context.Context) ([]byte, error) { return []byte("old"), nil }))

	s.Advance(2 * time.Minute)
	loading, loaded := make(chan bool), make(chan bool)
	first := make(chan string)
	go func() {
		first <- get(func(context.Context) ([]byte, error) {
			close(loading)
			<-loaded
			return []byte("new"), nil
		})
	}()
	<-loading
	fmt.Println("meanwhile:", get(func(context.Context) ([]byte, error) { return nil, errors.New("loaded twice") }))
	close(loaded)
	fmt.Println("the caller that reloads:", <-first)
	// Output:
	// old
	// meanwhile: old
	// the caller that reloads: new
}

// ErrNotFound is cached for NegativeTTL, other errors for ErrorTTL; by default neither.
func ExampleFetchOptions_negative() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	o := memcache.FetchOptions{TTL: time.Hour, NegativeTTL: time.Minute}
	for _, answer := range []error{errors.New("database is down"), memcache.ErrNotFound, nil} {
		_, err := c.Fetch(context.Background(), "user:9", o, func(context.Context) ([]byte, error) {
			fmt.Print("asked; ")
			return nil, answer
		})
		fmt.Println(err)
	}
	// Output:
	// asked; database is down
	// asked; memcache: not found
	// memcache: not found
}

// place is a message that marshals itself, as generated protobuf code does.
type place struct{ X, Y uint32 }

func (p *place) Marshal() ([]byte, error) {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, p.X), p.Y), nil
}

func (p *place) Unmarshal(b []byte) error {
	if len(b) != 8 {
		return errors.New("not a place")
	}
	p.X, p.Y = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return nil
}

// Codecs: JSON by default, gob, messages with Marshal methods, plain bytes, and
// compression of values above a size.
func ExampleTyped_codecs() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()

	asJSON := &memcache.Typed[place]{Cache: c}
	asGob := &memcache.Typed[place]{Cache: c, Codec: codec.Gob[place]()}
	asProto := &memcache.Typed[*place]{Cache: c, Codec: codec.Proto[place]()}
	small := &memcache.Typed[[]byte]{Cache: c, Codec: codec.Compressed(codec.Raw(), 100, codec.Zlib)}
	fmt.Println(asJSON.Set(ctx, "json", place{1, 2}, time.Hour), asGob.Set(ctx, "gob", place{3, 4}, time.Hour),
		asProto.Set(ctx, "proto", &place{5, 6}, time.Hour), small.Set(ctx, "small", make([]byte, 10_000), time.Hour))

	j, _ := asJSON.Get(ctx, "json")
	g, _ := asGob.Get(ctx, "gob")
	p, _ := asProto.Get(ctx, "proto")
	b, _ := small.Get(ctx, "small")
	fmt.Println(j, g, *p, len(b))
	for _, key := range []string{"json", "proto", "small"} {
		it, err := c.Get(ctx, key)
		fmt.Println(key, len(it.Value) < 50, err)
	}
	// Output:
	// <nil> <nil> <nil> <nil>
	// {1 2} {3 4} {5 6} 10000
	// json true <nil>
	// proto true <nil>
	// small true <nil>
}

// Failover chooses the result of requests to a server that is down.
func ExampleFailover() {
	addr, stop := server()
	defer stop()
	const gone = "/run/no-such-memcached" // no server listens on this unix socket
	for _, policy := range []memcache.Failover{memcache.FailError, memcache.FailMiss, memcache.FailNext} {
		c, err := memcache.New(&memcache.Options{Failover: policy}, gone, addr)
		if err != nil {
			log.Fatal(err)
		}
		key := "k"
		for c.ServerFor(key) != gone {
			key += "k"
		}
		ctx := context.Background()
		set := c.Set(ctx, &memcache.Item{Key: key, Value: []byte("v")})
		_, get := c.Get(ctx, key)
		fmt.Println("set:", errors.Is(set, memcache.ErrServerDown), "get:", errors.Is(get, memcache.ErrServerDown), errors.Is(get, memcache.ErrCacheMiss), get == nil)
		c.Close()
	}
	// Output:
	// set: true get: true false false
	// set: true get: false true false
	// set: false get: false false true
}

type spanKey struct{}

// Hooks get the caller's context, for example with the span of a trace.
func ExampleHooks_tracing() {
	addr, stop := server()
	defer stop()
	c, err := memcache.New(&memcache.Options{Hooks: memcache.Hooks{
		Done: func(ctx context.Context, r memcache.Request) {
			fmt.Printf("%v: %s took time: %t, error: %v\n", ctx.Value(spanKey{}), r.Command, r.Took > 0, r.Err)
		},
	}}, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.WithValue(context.Background(), spanKey{}, "GET /cart")
	c.Set(ctx, &memcache.Item{Key: "k", Value: []byte("1")})
	c.Increment(ctx, "k", 1)
	c.Get(ctx, "nothing")
	// Output:
	// GET /cart: set took time: true, error: <nil>
	// GET /cart: incr took time: true, error: <nil>
	// GET /cart: get took time: true, error: memcache: cache miss
}
