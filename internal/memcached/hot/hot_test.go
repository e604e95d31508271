package hot

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestFrequent counts a skewed stream and checks the bound of the algorithm: a count is
// too small by at most total/limit, and never too large.
func TestFrequent(t *testing.T) {
	f := frequent{100, make(map[string]uint32), 0}
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.2, 1, 1e6)
	exact := make(map[string]uint32)
	const n = 200_000
	for range n {
		k := fmt.Sprint(zipf.Uint64())
		exact[k]++
		f.add([]byte(k))
	}
	if len(f.count) > 100 || f.total != n {
		t.Errorf("%d counters, total %d", len(f.count), f.total)
	}
	for k, c := range exact {
		if got := f.count[k]; got > c || c-got > n/100 {
			t.Errorf("%s: counted %d, exact %d", k, got, c)
		}
	}
	top := f.top(3)
	if len(top) != 3 || top[0].Name != "0" || top[1].Name != "1" || top[0].Share < top[1].Share {
		t.Errorf("top: %v", top)
	}
}

func TestHotAges(t *testing.T) {
	var h Table
	h.Init(1000)
	for range 8 {
		h.keys.add([]byte("a"))
		h.prefixes.add([]byte("a:"))
	}
	h.age(1000 + halfLife - 1)
	if h.keys.count["a"] != 8 {
		t.Errorf("halved early: %v", h.keys)
	}
	h.age(1000 + 2*halfLife)
	if h.keys.count["a"] != 2 || h.keys.total != 2 || h.prefixes.count["a:"] != 2 {
		t.Errorf("after two half-lives: %v, %v", h.keys, h.prefixes)
	}
	h.age(1 << 40)
	if len(h.keys.count) != 0 || h.keys.total != 0 {
		t.Errorf("after a long time: %v", h.keys)
	}
	h.age(0) // a clock that was set back
}

// BenchmarkAdd is the cost of one sampled key, of keys that are all different.
func BenchmarkAdd(b *testing.B) {
	var t Table
	t.Init(0)
	key := make([]byte, 0, 32)
	i := 0
	for b.Loop() {
		key = fmt.Appendf(key[:0], "user:%d", i)
		i++
		t.Add(key, ':', 0)
	}
}
