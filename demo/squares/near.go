package squares

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"lintel.dev/demo"
	"lintel.dev/demo/internal/fleet"
	"lintel.dev/memcache"
	"lintel.dev/nearcache"
)

// maxStale is the bound of staleness of the near cache.
const maxStale = time.Second

// Near is the result of --near.
type Near struct {
	Hits       int     `json:"hits"`        // lookups without a request
	HitSeconds float64 `json:"hit_seconds"` // median of the lookups of the last half that found a number
	Changes    int     `json:"changes"`     // made by the writer
	// Behind is the number of lookups that returned a value although the change to a
	// newer one had been acknowledged before; StalestSeconds is how long before at most.
	Behind         int     `json:"behind"`
	StalestSeconds float64 `json:"stalest_seconds"`
	BoundSeconds   float64 `json:"bound_seconds"`
}

// near is a near cache, and a writer that changes values through a client of its
// own: it puts a version behind the square.
type near struct {
	cache  *nearcache.Cache
	writer *memcache.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // protects changes
	changes map[int][]change

	behind  int
	stalest time.Duration
	hits    []time.Duration
}

// change is a version and the time at which its server had acknowledged it.
type change struct {
	version int
	at      time.Time
}

// writeEvery is the pause between two changes.
const writeEvery = time.Millisecond

// openNear starts the near cache and the writer.
func openNear(ctx context.Context, client *memcache.Client, servers []string) (*near, error) {
	cache, err := nearcache.New(ctx, client, &nearcache.Options{MaxStale: maxStale})
	if errors.Is(err, nearcache.ErrNoInvalidations) {
		return nil, demo.Inputf("--near: %w: expected servers started with lintel memcached --invalidate", err)
	}
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		servers = client.Servers()
	}
	w, err := memcache.New(fleet.ClientOptions(), servers...)
	if err != nil {
		cache.Close()
		return nil, err
	}
	n := &near{cache: cache, writer: w, changes: make(map[int][]change)}
	ctx, n.cancel = context.WithCancel(ctx)
	n.wg.Go(func() { n.write(ctx) })
	return n, nil
}

func (n *near) close() {
	n.cancel()
	n.wg.Wait()
	n.cache.Close()
	n.writer.Close()
}

// write changes values until ctx ends.
func (n *near) write(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for version := 1; ; version++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		of := rand.IntN(maxN + 1)
		value := fmt.Appendf(nil, "%d %d", int64(of)*int64(of), version)
		// Only what is stored is changed: the runs find as much as without a writer.
		if err := n.writer.Replace(ctx, &memcache.Item{Key: key(of), Value: value}); err != nil {
			continue
		}
		n.mu.Lock()
		n.changes[of] = append(n.changes[of], change{version, time.Now()})
		n.mu.Unlock()
	}
}

// check notes how old the value of a lookup is, and returns it without its version.
func (n *near) check(of int, value []byte, asked time.Time, took time.Duration, missed bool) []byte {
	if !missed {
		n.hits = append(n.hits, took)
	}
	square, tag, _ := bytes.Cut(value, []byte(" "))
	version, _ := strconv.Atoi(string(tag))
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.changes[of] {
		if c.version > version && c.at.Before(asked) {
			n.behind++
			n.stalest = max(n.stalest, asked.Sub(c.at))
			break
		}
	}
	return square
}

func (n *near) report() *Near {
	r := &Near{Hits: int(n.cache.Stats().Hits), Behind: n.behind, StalestSeconds: n.stalest.Seconds(), BoundSeconds: maxStale.Seconds()}
	n.mu.Lock()
	for _, c := range n.changes {
		r.Changes += len(c)
	}
	n.mu.Unlock()
	if last := n.hits[len(n.hits)/2:]; len(last) > 0 {
		slices.Sort(last)
		r.HitSeconds = last[len(last)/2].Seconds()
	}
	return r
}
