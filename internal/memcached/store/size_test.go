package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/arena"
)

// resident returns the bytes of memory the process has.
func resident(t testing.TB) int64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, rss int64
	if _, err := fmt.Sscan(string(b), &size, &rss); err != nil {
		t.Fatal(err)
	}
	return rss * int64(os.Getpagesize())
}

// mixture writes n bytes of items of all sizes, some of which are replaced, removed, touched, or expire.
func mixture(t testing.TB, s *Store, c *clock, n int64) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	value := make([]byte, 300_000)
	for i := 0; n > 0; i++ {
		size := r.IntN(50)
		switch k := r.IntN(1000); {
		case k < 300:
			size = r.IntN(600)
		case k < 330:
			size = r.IntN(30_000)
		case k < 332:
			size = r.IntN(len(value))
		}
		rec := Record{Parts: [2][]byte{value[:size]}}
		if r.IntN(3) == 0 {
			rec.Expiry = c.t + int64(r.IntN(20))
		}
		n -= int64(size) + 20
		tx := s.Begin(fmt.Append(nil, "key:", int(r.ExpFloat64()*100_000)))
		found := tx.Find()
		switch k := r.IntN(10); {
		case found && k == 0:
			tx.Delete()
		case found && k == 1:
			tx.SetExpiry(c.t + int64(r.IntN(30)))
		default:
			if _, err := tx.Put(rec); err != nil {
				t.Fatal(err)
			}
		}
		tx.End()
		if i%3000 == 0 {
			c.t++
		}
	}
}

// TestResident writes ten times the memory's worth and looks at the memory the system gave.
func TestResident(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const limit = 24 << 20
	before := resident(t)
	s, c := open(t, Options{MaxBytes: limit})
	mixture(t, s, c, 10*limit)
	st := s.Stats()
	if got := resident(t) - before; got > limit*115/100 || st.Used > limit*101/100 || st.Used < limit*9/10 {
		t.Errorf("with a limit of %d: %d bytes used, %d more resident", limit, st.Used, got)
	}
	check(t, s)
	if err := s.SetLimit(8 << 20); err != nil {
		t.Fatal(err)
	}
	if got := resident(t) - before; got > 11<<20 {
		t.Errorf("with the limit lowered to %d: %d more resident", 8<<20, got)
	}
	check(t, s)
	if err := s.SetLimit(limit); err != nil {
		t.Fatal(err)
	}
	mixture(t, s, c, limit*2)
	if st := s.Stats(); st.Used < limit*8/10 {
		t.Errorf("only %d bytes of %d used once the limit was raised", st.Used, limit)
	}
}

// TestMappings makes and closes stores and sees that the system has everything back.
func TestMappings(t *testing.T) {
	maps := func() int {
		b, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return bytes.Count(b, []byte("\n"))
	}
	cycle := func() {
		s, err := New(Options{MaxBytes: 64 << 20, Path: t.TempDir() + "/items"})
		if err != nil {
			s, err = New(Options{MaxBytes: 64 << 20})
		}
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "a", "b", 0)
		put(t, s, "large", strings.Repeat("b", 100_000), 0)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	before := maps()
	for range 20 {
		cycle()
	}
	if after := maps(); after > before+10 {
		t.Errorf("%d mappings before, %d after", before, after)
	}
}

// TestWidths puts items where the addresses of a store of 1 TiB end.
func TestWidths(t *testing.T) {
	s, _ := open(t, Options{MaxBytes: MaxLimit, MaxItemSize: 1 << 30})
	const n = 20_000
	s.pool.Skip(s.pool.Extents-arena.Loc(200*s.pool.Seg), s.pool.Extents+arena.Loc(s.pool.Limit()*2-2000*arena.Quantum))
	large := strings.Repeat("large", 100_000)
	put(t, s, "large1", large, 0)
	put(t, s, "large2", large, 0)
	for i := range n {
		put(t, s, fmt.Sprint("key", i), fmt.Sprint("value", i), 0)
	}
	for i := range n {
		want(t, s, fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	want(t, s, "large1", large)
	want(t, s, "large2", large)
	check(t, s)
	// Few items take few pages, whatever the limit is.
	if st := s.Stats(); st.HashBytes > n*firstSlots*8 || len(s.indexes.leaves) > maxLeaves {
		t.Errorf("the index of %d items takes %d bytes in %d leaves", n, st.HashBytes, len(s.indexes.leaves))
	}
	if s.pool.Size() < mostAddresses/2 {
		t.Errorf("addresses end at %x", s.pool.Size())
	}
	if err := s.SetLimit(64 << 30); err != nil {
		t.Error(err)
	}
	want(t, s, "large2", large)
}

func TestTiny(t *testing.T) {
	s, _ := open(t, Options{MaxBytes: MinLimit})
	for i := range 50_000 {
		put(t, s, fmt.Sprint("key:", i), "some small value", 0)
	}
	want(t, s, "key:49999", "some small value")
	if st := s.Stats(); st.Items < 17_000 || st.Used > MinLimit+3*s.pool.Seg {
		t.Errorf("%d items in %d bytes", st.Items, st.Used)
	}
	tx := s.Begin([]byte("large"))
	_, err := tx.Put(Record{Parts: [2][]byte{make([]byte, 1<<20-100)}})
	tx.End()
	if !errors.Is(err, ErrNoMemory) {
		t.Errorf("an item as large as the memory: %v", err)
	}
	for _, c := range []string{"h", "i", "j"} { // two at a time would not fit
		put(t, s, "half", strings.Repeat(c, 600_000), 0)
		want(t, s, "half", strings.Repeat(c, 600_000))
	}
	check(t, s)
}

// TestLargeItems fills the memory with items of many sizes that each have an extent, and then with small ones again.
func TestLargeItems(t *testing.T) {
	s, _ := open(t, Options{MaxBytes: 64 << 20, MaxItemSize: 1 << 30})
	value := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	larges := 400
	if raceEnabled {
		larges = 150
	}
	for i := range larges {
		n := 10_000 + i*i*i*i%len(value)*2/3
		key := fmt.Sprint("large", i)
		put(t, s, key, string(value[:n]), 0)
		tx := s.Begin([]byte(key))
		if !tx.Find() || !bytes.Equal(tx.Value(), value[:n]) {
			t.Errorf("%q is gone or wrong", key)
		}
		tx.End()
	}
	if st := s.Stats(); st.Used < 48<<20 {
		t.Errorf("only %d bytes used", st.Used)
	}
	put(t, s, "largest", strings.Repeat("x", 50<<20), 0)
	want(t, s, "largest", strings.Repeat("x", 50<<20))
	check(t, s)
	for i := range 500_000 {
		put(t, s, fmt.Sprint("small", i), "0123456789012345678901234567890123456789", 0)
	}
	if st := s.Stats(); st.Items < 400_000 || st.Used > 65<<20 {
		t.Errorf("%d items in %d bytes", st.Items, st.Used)
	}
	check(t, s)
}

// TestDeadFirst fills three quarters of the memory and then stores those items again and again: nothing may be evicted.
func TestDeadFirst(t *testing.T) {
	const limit = 16 << 20
	for name, ttl := range map[string]int64{"replaced": 0, "expired": 5} {
		t.Run(name, func(t *testing.T) {
			s, c := open(t, Options{MaxBytes: limit})
			r := rand.New(rand.NewPCG(1, 1))
			value := strings.Repeat("v", 200)
			n, rounds := limit*3/4/230, 10
			if raceEnabled {
				rounds = 4
			}
			for i := range n * rounds {
				if ttl == 0 {
					put(t, s, fmt.Sprint("key:", r.IntN(n)), value, 0)
				} else {
					put(t, s, fmt.Sprint("key:", i), value, c.t+ttl)
					if i%(n/10) == 0 {
						c.t++ // so that about half of what fits is alive
					}
				}
			}
			if st := s.Stats(); st.Evictions != 0 || st.OutOfMemory != 0 {
				t.Errorf("%d live items evicted, %d refused", st.Evictions, st.OutOfMemory)
			}
			check(t, s)
		})
	}
}

// TestTurnover uses items once more than others and then no longer: they must
// be evicted in the end.
func TestTurnover(t *testing.T) {
	const limit = 4 << 20
	s, _ := open(t, Options{MaxBytes: limit})
	value := strings.Repeat("v", 300)
	for i := range 6000 {
		key := fmt.Sprint("old:", i)
		put(t, s, key, value, 0)
		want(t, s, key, value)
	}
	n, rounds := 0, 60
	if raceEnabled {
		rounds = 30
	}
	for ; n < rounds*limit/330; n++ {
		put(t, s, fmt.Sprint("new:", n), value, 0)
	}
	old := 0
	s.Scan(func(it Item) bool {
		if it.Key[0] == 'o' {
			old++
		}
		return true
	})
	if old > 0 {
		t.Errorf("%d of 6000 items stayed while %d new ones went by", old, n)
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, c := open(t, Options{MaxBytes: 4 << 20})
	value := make([]byte, 100)
	keys := make([][]byte, 100_000)
	for i := range keys {
		keys[i] = fmt.Append(nil, "key:", i)
	}
	i := 0
	one := func() {
		i++
		tx := s.Begin(keys[i%len(keys)])
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			t.Fatal(err)
		}
		tx.End()
		tx = s.Begin(keys[(i-i%7)%len(keys)])
		if tx.Find() {
			tx.Bump()
			tx.Overwrite(value)
			tx.SetExpiry(c.t + 1000)
		}
		tx.End()
	}
	for range 200_000 {
		one()
	}
	if n := testing.AllocsPerRun(50_000, one); n != 0 {
		t.Errorf("%v allocations an operation", n)
	}
}
