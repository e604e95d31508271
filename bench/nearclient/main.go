// Command nearclient measures the near cache (lintel.dev/nearcache): a hit beside
// otter's and beside a Get over loopback, the time from the reply to a write to the
// moment at which readers have dropped the old value, and, for traces, how many reads
// it keeps away from the servers.
//
//	go run ./nearclient [-rounds 3] [-changes 2000] [-traces DIR]
package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"lintel.dev/memcache"
	"lintel.dev/memcached"
	"lintel.dev/nearcache"
	"lintel.dev/nearcache/server"
)

const (
	keys      = 10_000
	valueSize = 100
	hits      = 400_000 // of a round
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "nearclient:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 3, "rounds of each row; the fastest is shown")
	changes := flag.Int("changes", 2000, "changes of which the time to the drop is measured")
	traces := flag.String("traces", "", "`directory` of traces to replay: gzipped, a key a line")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *changes < 100 {
		return errors.New("unexpected arguments, see -help")
	}
	addr, stop, err := serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := hitRows(ctx, addr, *rounds); err != nil {
		return err
	}
	fmt.Printf("\n%-34s %10s %10s %10s\n", "from a write's reply to the drop", "p50", "p99", "p99.9")
	for _, n := range []int{1, 10, 100} {
		took, err := drops(ctx, addr, n, *changes)
		if err != nil {
			return err
		}
		at := func(q float64) time.Duration {
			return took[min(int(q*float64(len(took))), len(took)-1)].Round(time.Microsecond)
		}
		fmt.Printf("%-34s %10v %10v %10v\n", fmt.Sprintf("%d clients", n), at(0.5), at(0.99), at(0.999))
	}
	if *traces == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(*traces, "*.gz"))
	if err != nil {
		return err
	}
	fmt.Printf("\n%-34s %10s %10s %10s\n", "trace, 1 write in 100, 4 MiB", "reads", "near hits", "requests")
	for _, file := range files {
		if err := replay(ctx, addr, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// serve starts a server with invalidations.
func serve() (addr string, stop func(), err error) {
	feed, err := server.New(&server.Config{Endpoints: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		return "", nil, err
	}
	s, err := memcached.New(memcached.Options{Feed: feed, Threads: 1, MemoryLimit: 512 << 20})
	if err != nil {
		return "", nil, errors.Join(err, feed.Close())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go s.Serve(ln)
	return ln.Addr().String(), func() { s.Shutdown(context.Background()); feed.Close() }, nil
}

// open returns a client and a near cache whose feed is followed.
func open(ctx context.Context, addr string, o *nearcache.Options) (*memcache.Client, *nearcache.Cache, error) {
	c, err := memcache.New(nil, addr)
	if err != nil {
		return nil, nil, err
	}
	near, err := nearcache.New(ctx, c, o)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	for !near.Stats().Servers[0].Synced {
		time.Sleep(time.Millisecond)
	}
	return c, near, nil
}

func name(i int) string { return fmt.Sprintf("key:%08d", i) }

func hitRows(ctx context.Context, addr string, rounds int) error {
	c, near, err := open(ctx, addr, &nearcache.Options{MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	defer c.Close()
	defer near.Close()
	// Weights and an expiry for each entry, as the near cache has.
	other := otter.Must(&otter.Options[string, []byte]{
		MaximumWeight:    64 << 20,
		Weigher:          func(k string, v []byte) uint32 { return uint32(len(k) + len(v)) },
		ExpiryCalculator: otter.ExpiryWriting[string, []byte](time.Hour),
	})
	names := make([]string, keys)
	value := make([]byte, valueSize)
	for i := range names {
		names[i] = name(i)
		if err := c.Set(ctx, &memcache.Item{Key: names[i], Value: value}); err != nil {
			return err
		}
		other.Set(names[i], value)
	}
	for _, k := range names {
		if _, _, err := near.GetInto(ctx, k, nil); err != nil {
			return err
		}
	}
	fmt.Printf("%-34s %10s %10s %10s\n", "a hit, ns", "near", "otter", "loopback")
	for _, goroutines := range []int{1, 16} {
		row := []func(i int, buf []byte) error{
			func(i int, buf []byte) error { _, _, err := near.GetInto(ctx, names[i%keys], buf); return err },
			func(i int, buf []byte) error {
				v, ok := other.GetIfPresent(names[i%keys])
				if !ok {
					return errors.New("otter: miss")
				}
				copy(buf[:valueSize], v)
				return nil
			},
			func(i int, buf []byte) error { _, _, err := c.GetInto(ctx, names[i%keys], buf); return err },
		}
		fmt.Printf("%-34s", fmt.Sprintf("%d goroutines", goroutines))
		for side, get := range row {
			n := hits
			if side == 2 {
				n /= 10
			}
			best := time.Duration(1 << 62)
			for range rounds {
				took, err := timed(goroutines, n, get)
				if err != nil {
					return err
				}
				best = min(best, took)
			}
			fmt.Printf(" %10.0f", float64(best.Nanoseconds())/float64(n))
		}
		fmt.Println()
	}
	return nil
}

// timed returns the time that n calls of get take, divided among goroutines.
func timed(goroutines, n int, get func(i int, buf []byte) error) (time.Duration, error) {
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	start := time.Now()
	for g := range goroutines {
		wg.Go(func() {
			buf := make([]byte, 0, valueSize)
			for i := range n / goroutines {
				if err := get(i*7+g*101, buf); err != nil {
					errs[g] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), errors.Join(errs...)
}

// drops measures, for each of the changes of a key, the time from the writer's reply
// to the moment at which each of n near caches has dropped the value. The times are
// sorted.
func drops(ctx context.Context, addr string, n, changes int) ([]time.Duration, error) {
	w, err := memcache.New(nil, addr)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var caches []*nearcache.Cache
	for range n {
		c, near, err := open(ctx, addr, &nearcache.Options{MaxBytes: 1 << 20, MaxStale: 10 * time.Second})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		defer near.Close()
		caches = append(caches, near)
	}
	// With a context that has ended, what is not in memory is an error.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	var took []time.Duration
	waiting := make([]*nearcache.Cache, 0, n)
	for i := range max(changes/n, 20) {
		// A key for each change: one that always changes is not kept.
		key := name(i)
		if err := w.Set(ctx, &memcache.Item{Key: key, Value: []byte("old")}); err != nil {
			return nil, err
		}
		for _, c := range caches {
			for {
				if _, err := c.Get(ctx, key); err != nil {
					return nil, err
				}
				if _, _, err := c.GetInto(gone, key, nil); err == nil {
					break
				}
			}
		}
		// The record of the first Set may be on its way still: let it arrive.
		time.Sleep(5 * time.Millisecond)
		for _, c := range caches {
			if _, err := c.Get(ctx, key); err != nil {
				return nil, err
			}
		}
		if err := w.Set(ctx, &memcache.Item{Key: key, Value: []byte("new")}); err != nil {
			return nil, err
		}
		replied := time.Now()
		waiting = append(waiting[:0], caches...)
		for len(waiting) > 0 {
			waiting = slices.DeleteFunc(waiting, func(c *nearcache.Cache) bool {
				_, _, err := c.GetInto(gone, key, nil)
				if err != nil {
					took = append(took, time.Since(replied))
				}
				return err != nil
			})
		}
	}
	slices.Sort(took)
	return took, nil
}

// replay reads the keys of a trace through a near cache, and writes one in 100.
func replay(ctx context.Context, addr, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	c, near, err := open(ctx, addr, &nearcache.Options{MaxBytes: 4 << 20})
	if err != nil {
		return err
	}
	defer c.Close()
	defer near.Close()
	if err := c.FlushAll(ctx); err != nil {
		return err
	}
	value := make([]byte, valueSize)
	reads, writes := 0, 0
	const most = 200_000
	for s := bufio.NewScanner(z); s.Scan() && reads < most; {
		key := "t" + s.Text()
		if _, err := strconv.ParseUint(s.Text(), 10, 64); err != nil {
			return err
		}
		reads++
		_, _, err := near.GetInto(ctx, key, nil)
		if errors.Is(err, memcache.ErrCacheMiss) || err == nil && reads%100 == 0 {
			writes++
			err = near.Set(ctx, &memcache.Item{Key: key, Value: value})
		}
		if err != nil {
			return err
		}
	}
	st := near.Stats()
	share := float64(st.Hits) / float64(reads)
	fmt.Printf("%-34s %10d %9.1f%% %9.1f%%\n", filepath.Base(file), reads, 100*share, 100*(1-share))
	return nil
}
