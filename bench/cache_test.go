package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"lintel.dev/memcached"
)

// server returns the address of the server to measure against: that of
// LINTEL_BENCH_SERVER, or our own in this process.
func server(tb testing.TB) string {
	tb.Helper()
	if addr := os.Getenv("LINTEL_BENCH_SERVER"); addr != "" {
		return addr
	}
	return own(tb)
}

// servers returns a fleet of n: for one, that of server, else our own.
func servers(tb testing.TB, n int) []string {
	tb.Helper()
	if n == 1 {
		return []string{server(tb)}
	}
	fleet := make([]string, n)
	for i := range fleet {
		fleet[i] = own(tb)
	}
	return fleet
}

// own runs one of our servers in this process.
func own(tb testing.TB) string {
	tb.Helper()
	s, err := memcached.New(memcached.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		<-served
	})
	return l.Addr().String()
}

const (
	keys      = 1000
	valueSize = 100
)

func key(i int) string { return fmt.Sprintf("bench:key:%06d", i%keys) }

// eachCache runs a benchmark for every client and number of goroutines, on n
// servers that hold the keys.
func eachCache(b *testing.B, n int, run func(b *testing.B, c cache, goroutines int)) {
	fleet := servers(b, n)
	for _, goroutines := range []int{1, 8, 64} {
		for _, kind := range caches {
			b.Run(fmt.Sprintf("goroutines=%d/peer=%s", goroutines, kind.name), func(b *testing.B) {
				c, err := kind.dial(fleet, goroutines)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				value := make([]byte, valueSize)
				for i := range keys {
					if err := c.set(key(i), value); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				run(b, c, goroutines)
			})
		}
	}
}

// spread runs op b.N times on so many goroutines.
func spread(b *testing.B, goroutines int, op func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := op(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkGet(b *testing.B) {
	eachCache(b, 1, func(b *testing.B, c cache, goroutines int) {
		spread(b, goroutines, func(i int) error {
			v, err := c.get(key(i))
			if err == nil && len(v) != valueSize {
				err = fmt.Errorf("a value of %d bytes, not %d", len(v), valueSize)
			}
			return err
		})
	})
}

func BenchmarkSet(b *testing.B) {
	value := make([]byte, valueSize)
	eachCache(b, 1, func(b *testing.B, c cache, goroutines int) {
		spread(b, goroutines, func(i int) error { return c.set(key(i), value) })
	})
}

// BenchmarkGetMulti asks for 50 keys at once.
func BenchmarkGetMulti(b *testing.B) {
	names := make([]string, 50)
	for i := range names {
		names[i] = key(i)
	}
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			eachCache(b, n, func(b *testing.B, c cache, goroutines int) {
				spread(b, goroutines, func(int) error {
					found, err := c.getMulti(names)
					if err == nil && found != len(names) {
						err = fmt.Errorf("%d of %d keys found", found, len(names))
					}
					return err
				})
			})
		})
	}
}
