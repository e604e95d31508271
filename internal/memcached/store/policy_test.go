package store

import (
	"container/list"
	"math/rand/v2"
	"strconv"
	"testing"
)

// segmentedLRU is memcached's policy, as far as it decides who leaves, for n items of one size: newcomers in hot, a fifth;
// those used twice in warm, two fifths; the rest in cold, whose least recently used leaves.
type segmentedLRU struct {
	n     int
	lru   [3]list.List // of *lruItem
	items map[string]*list.Element
}

type lruItem struct {
	key  string
	in   int
	uses int
}

const (
	hot = iota
	warm
	cold
)

func (l *segmentedLRU) move(e *list.Element, to int) {
	it := e.Value.(*lruItem)
	l.lru[it.in].Remove(e)
	it.in = to
	l.items[it.key] = l.lru[to].PushFront(it)
}

// access reports whether the key was there; now it is.
func (l *segmentedLRU) access(key string) bool {
	e, ok := l.items[key]
	if ok {
		it := e.Value.(*lruItem)
		if it.uses = min(it.uses+1, 2); it.uses == 2 && it.in == cold {
			it.uses = 1
			l.move(e, warm)
		}
	} else {
		if len(l.items) >= l.n {
			last := l.lru[cold].Back()
			delete(l.items, last.Value.(*lruItem).key)
			l.lru[cold].Remove(last)
		}
		l.items[key] = l.lru[hot].PushFront(&lruItem{key: key})
	}
	for from, share := range []int{hot: l.n / 5, warm: l.n * 2 / 5} {
		for l.lru[from].Len() > share {
			e := l.lru[from].Back()
			if it := e.Value.(*lruItem); it.uses == 2 {
				it.uses = 1
				l.move(e, warm)
			} else {
				l.move(e, cold)
			}
		}
	}
	return ok
}

// The traces are over ten times as many keys as the store holds items.
const (
	tracedItems = 10_000
	tracedKeys  = 10 * tracedItems
	tracedSteps = 6 * tracedKeys
)

func zipfTrace(r *rand.Rand, each func(i int, add func(key int)) bool) []string {
	z := rand.NewZipf(r, 1.01, 1, tracedKeys-1)
	var keys []string
	add := func(key int) { keys = append(keys, "key:"+strconv.Itoa(key)) }
	for i := range tracedSteps {
		if each(i, add) {
			add(int(z.Uint64()))
		}
	}
	return keys
}

// TestPolicy compares miss ratios with those of memcached's policy given room for as many items as the store held.
func TestPolicy(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine: nothing that -race could find in its many look-ups")
	}
	r := rand.New(rand.NewPCG(5, 6))
	fresh := tracedKeys
	next := func() int { fresh++; return fresh }
	for _, c := range []struct {
		name string
		most float64 // ratio of the two
		keys []string
	}{
		{"zipf", 0.95, zipfTrace(r, func(int, func(int)) bool { return true })},
		{"one-hit wonders", 0.96, zipfTrace(r, func(_ int, add func(int)) bool {
			if r.IntN(10) < 3 {
				add(next())
				return false
			}
			return true
		})},
		{"scans", 0.98, zipfTrace(r, func(i int, add func(int)) bool {
			if i%(tracedSteps/10) == tracedSteps/20 {
				for range tracedItems * 2 {
					add(next())
				}
			}
			return true
		})},
		{"loop", 0.85, zipfTrace(r, func(i int, add func(int)) bool { add(i % (tracedItems * 3 / 2)); return i%4 == 0 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := open(t, Options{MaxBytes: tracedItems * 140})
			ours := replay(t, s, c.keys, make([]byte, 100))
			n := int(s.Stats().Items)
			l := segmentedLRU{n: n, items: map[string]*list.Element{}}
			missed := 0
			for _, k := range c.keys {
				if !l.access(k) {
					missed++
				}
			}
			theirs := float64(missed) / float64(len(c.keys))
			t.Logf("%d items held; missed %.4f, segmented LRU %.4f: %.3f", n, ours, theirs, ours/theirs)
			if ours > theirs*c.most || n < tracedItems*9/10 {
				t.Errorf("want at most %.2f, and at least %d items held", c.most, tracedItems*9/10)
			}
		})
	}
}
