package store

import (
	"container/heap"
	"container/list"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// clairvoyant returns the share of misses, from a request on, of a cache of n items that knows what comes: it drops, or does
// not even take, what is not asked for again for the longest time (Belady, 1966).
func clairvoyant(keys []uint64, n, from int) float64 {
	const never = math.MaxInt
	next := make([]int, len(keys))
	last := map[uint64]int{}
	for i := len(keys) - 1; i >= 0; i-- {
		next[i] = never
		if at, ok := last[keys[i]]; ok {
			next[i] = at
		}
		last[keys[i]] = i
	}
	in := map[uint64]int{} // when a key that is in is asked for next
	var leave latest
	missed := 0
	for i, k := range keys {
		if _, ok := in[k]; !ok && i >= from {
			missed++
		}
		if next[i] == never {
			delete(in, k)
			continue
		}
		in[k] = next[i]
		heap.Push(&leave, use{k, next[i]})
		for len(in) > n {
			if u := heap.Pop(&leave).(use); in[u.key] == u.at {
				delete(in, u.key)
			}
		}
	}
	return float64(missed) / float64(len(keys)-from)
}

type use struct {
	key uint64
	at  int
}

// latest is a heap of uses, the last one on top.
type latest []use

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i].at > h[j].at }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *latest) Push(x any)        { *h = append(*h, x.(use)) }
func (h *latest) Pop() any {
	u := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return u
}

// TestBounds logs, when LINTEL_BOUNDS is the number of requests, what the store misses of the loads that cache-bench compares,
// and what the cache would that knows the future.
func TestBounds(t *testing.T) {
	steps, err := strconv.Atoi(os.Getenv("LINTEL_BOUNDS"))
	if err != nil {
		t.Skip("LINTEL_BOUNDS is not set")
	}
	const limit = 16 << 20
	const distinct = 870_000
	cdf := make([]float64, distinct)
	sum := 0.0
	for i := range cdf {
		sum += math.Pow(float64(i+1), -0.99)
		cdf[i] = sum
	}
	r := rand.New(rand.NewPCG(1, 2))
	zipf := func() uint64 {
		u := r.Float64() * sum
		lo, hi := 0, distinct-1
		for lo < hi {
			if mid := (lo + hi) / 2; cdf[mid] < u {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		return uint64(lo)
	}
	fresh := uint64(1 << 40)
	for _, load := range []struct {
		name string
		make func(i int, keys []uint64) []uint64
	}{
		{"zipf", func(_ int, keys []uint64) []uint64 { return append(keys, zipf()) }},
		{"30 % one-hit wonders", func(_ int, keys []uint64) []uint64 {
			if r.Float64() < 0.3 {
				fresh++
				return append(keys, fresh)
			}
			return append(keys, zipf())
		}},
		{"a scan of 87,000", func(i int, keys []uint64) []uint64 {
			if i%500_000 == 0 {
				for range 87_000 {
					fresh++
					keys = append(keys, fresh)
				}
			}
			return append(keys, zipf())
		}},
	} {
		var keys []uint64
		for i := range steps {
			keys = load.make(i, keys)
		}
		s, _ := open(t, Options{MaxBytes: limit})
		value := make([]byte, 100)
		var missed, cold, once, theirs int
		seen := map[uint64]bool{}
		var key []byte
		from := len(keys) / 2 // the first half is to fill both
		l := segmentedLRU{n: memcachedItems, items: map[string]*list.Element{}}
		for i, k := range keys {
			if !seen[k] {
				seen[k] = true
				cold += counts(i >= from)
			}
			once += counts(k >= 1<<40 && i >= from)
			key = strconv.AppendUint(append(key[:0], "key:"...), k+100_000_000_000, 10)
			tx := s.Begin(key)
			if tx.Find() {
				tx.Bump()
			} else {
				missed += counts(i >= from)
				if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
					t.Fatal(err)
				}
			}
			tx.End()
			if !l.access(string(key)) {
				theirs += counts(i >= from)
			}
		}
		n := int(s.Stats().Items)
		all := float64(len(keys) - from)
		never := float64(once) / all
		most := never + (1-never)*(1-cdf[n-1]/sum)
		lru := float64(theirs) / all
		t.Logf("%-20s of the second half of %d requests, %.4f for keys never asked for before, %.4f for keys asked for once",
			load.name, len(keys), float64(cold)/all, never)
		for _, c := range []struct {
			who    string
			missed float64
		}{
			{"this store", float64(missed) / all},
			{"who keeps those asked for most", most},
			{"who knows the future", clairvoyant(keys, n, from)},
		} {
			t.Logf("  %-32s %7d items, missed %.4f, to segmented LRU's %.4f with %d items %.3f; without those asked for once %.3f", c.who, n,
				c.missed, lru, memcachedItems, c.missed/lru, (c.missed-never)/(lru-never))
		}
	}
}

// memcachedItems is how many of the items memcached 1.6.18 holds with -m 16.
const memcachedItems = 87_000

func counts(b bool) int {
	if b {
		return 1
	}
	return 0
}
