// Package hot finds the keys and the prefixes of keys that are used most.
//
// A Table counts sampled keys with the algorithm of Misra and Gries, in bounded memory, and forgets: counts are halved
// every halfLife seconds. Event loops never wait for its lock; a sample is lost if another loop holds it.
package hot

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
)

const (
	maxKeys     = 1024 // keys kept
	maxPrefixes = 256  // prefixes kept
	halfLife    = 30   // seconds after which a sample counts half
)

// Demand is how often a key or a prefix is used.
type Demand struct {
	Name  string
	Share float64 // of the commands with a key, 0 to 1; too small by at most one part in the number of names kept
}

// Table holds the keys and prefixes that are used most. It is safe for concurrent use. Init must be called first.
type Table struct {
	mu       sync.Mutex // guards what follows
	keys     frequent
	prefixes frequent
	halved   int64 // unix second of the last halving
}

// frequent counts the most frequent names of a stream with the algorithm of Misra and Gries: at most
// limit counters, of which all lose one when there is no room for another name.
type frequent struct {
	limit int
	count map[string]uint32
	total uint64 // of names seen
}

func (f *frequent) add(name []byte) {
	f.total++
	if n, ok := f.count[string(name)]; ok {
		f.count[string(name)] = n + 1
		return
	}
	if len(f.count) < f.limit {
		f.count[string(name)] = 1
		return
	}
	for k, n := range f.count {
		if n == 1 {
			delete(f.count, k)
		} else {
			f.count[k] = n - 1
		}
	}
}

// halve halves all counts.
func (f *frequent) halve() {
	f.total /= 2
	for k, n := range f.count {
		if n < 2 {
			delete(f.count, k)
		} else {
			f.count[k] = n / 2
		}
	}
}

// top returns the n most frequent names.
func (f *frequent) top(n int) []Demand {
	all := make([]Demand, 0, len(f.count))
	for k, c := range f.count {
		all = append(all, Demand{k, min(1, float64(c)/float64(max(f.total, 1)))})
	}
	slices.SortFunc(all, func(a, b Demand) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(n, len(all))]
}

// Init prepares an empty table. now is in Unix seconds.
func (t *Table) Init(now int64) {
	t.keys = frequent{maxKeys, make(map[string]uint32), 0}
	t.prefixes = frequent{maxPrefixes, make(map[string]uint32), 0}
	t.halved = now
}

// age halves the counts once for each half-life since the last time.
func (t *Table) age(now int64) {
	times := min(max(0, now-t.halved)/halfLife, 32)
	for range times {
		t.keys.halve()
		t.prefixes.halve()
	}
	if times > 0 || now < t.halved { // a clock can be set back
		t.halved = now
	}
}

// Add counts a key, and its prefix up to and with the delimiter, unless another goroutine holds the table. It copies key.
// It takes about 200 ns.
func (t *Table) Add(key []byte, delimiter byte, now int64) {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	t.age(now)
	t.keys.add(key)
	if cut := bytes.IndexByte(key, delimiter); cut > 0 {
		t.prefixes.add(key[:cut+1])
	} else {
		t.prefixes.total++
	}
}

// Top returns the n keys and the n prefixes that are used most, in falling order.
func (t *Table) Top(n int, now int64) (keys, prefixes []Demand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age(now)
	return t.keys.top(n), t.prefixes.top(n)
}
