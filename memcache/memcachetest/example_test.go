package memcachetest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/memcache"
	"lintel.dev/memcache/memcachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// In a test, Start listens and ends with it; here the server is run by hand.
// The test sets the clock and intercepts commands.
func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := memcachetest.New(nil)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	defer func() { s.Close(); <-done }()
	c, err := memcache.New(nil, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()

	s.Set("k", []byte("v"), 0, time.Minute)
	it, err := c.Get(ctx, "k")
	fmt.Printf("%s %v\n", it.Value, err)
	s.Advance(2 * time.Minute)
	_, err = c.Get(ctx, "k")
	fmt.Println(errors.Is(err, memcache.ErrCacheMiss), s.Count("mg"))
	s.Intercept(func(string) (string, bool) { return "SERVER_ERROR out of memory\r\n", true })
	err = c.Set(ctx, &memcache.Item{Key: "k"})
	fmt.Println(errors.Is(err, memcache.ErrServer))
	// Output:
	// v <nil>
	// true 2
	// true
}
