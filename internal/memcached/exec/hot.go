package exec

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
)

// Config.TrackKeys samples the keys of one command in keySample, at random, and keeps the most frequent of the last
// minutes. A sampled key takes about 200 ns, a command about 8 ns on average.
const (
	keySample   = 32
	hotKeys     = 1024 // keys kept
	hotPrefixes = 256  // prefixes kept
	hotHalfLife = 30   // seconds after which a sample counts half
)

// Demand is how often a key or a prefix is used.
type Demand struct {
	Name  string
	Share float64 // of the commands with a key, 0 to 1; too small by at most one part in the number of names kept
}

// hot are the keys and prefixes that are used most.
type hot struct {
	mu       sync.Mutex // guards what follows; taken with TryLock by event loops
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

func (h *hot) init(now int64) {
	h.keys = frequent{hotKeys, make(map[string]uint32), 0}
	h.prefixes = frequent{hotPrefixes, make(map[string]uint32), 0}
	h.halved = now
}

// age halves the counts once for each half-life since the last time.
func (h *hot) age(now int64) {
	times := min(max(0, now-h.halved)/hotHalfLife, 32)
	for range times {
		h.keys.halve()
		h.prefixes.halve()
	}
	if times > 0 || now < h.halved { // a clock can be set back
		h.halved = now
	}
}

// sample counts the key of a sampled command. The sample is lost if another loop holds the table.
func (b *Batch) sample(key []byte) {
	h := &b.hot
	if !h.mu.TryLock() {
		return
	}
	defer h.mu.Unlock()
	h.age(b.Clock.Now())
	h.keys.add(key)
	if cut := bytes.IndexByte(key, b.PrefixDelimiter); cut > 0 {
		h.prefixes.add(key[:cut+1])
	} else {
		h.prefixes.total++
	}
}

// nextSample returns how many commands lie before the next one that is sampled.
func nextSample() int { return rand.IntN(2*keySample - 1) }

// Hottest returns the n keys and the n prefixes that are used most. There are none without Config.TrackKeys.
func (e *Engine) Hottest(n int) (keys, prefixes []Demand) {
	if !e.TrackKeys {
		return nil, nil
	}
	h := &e.hot
	h.mu.Lock()
	defer h.mu.Unlock()
	h.age(e.Clock.Now())
	return h.keys.top(n), h.prefixes.top(n)
}
