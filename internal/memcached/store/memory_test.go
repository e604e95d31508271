package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lintel.dev/internal/memcached/arena"
)

// TestHugePages writes six times the memory's worth to a store that is large enough to ask for huge pages, and looks at the
// memory the system gave.
func TestHugePages(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const limit = arena.HugeFrom
	before := resident(t)
	s, _ := open(t, Options{MaxBytes: limit})
	r := rand.New(rand.NewPCG(7, 8))
	value := make([]byte, 40_000)
	for left := 6 * limit; left > 0; {
		n := r.IntN(4000)
		if r.IntN(50) == 0 {
			n = r.IntN(len(value))
		}
		left -= n
		tx := s.Begin(fmt.Append(nil, "key:", r.IntN(100_000)))
		if tx.Find() && r.IntN(8) == 0 {
			tx.Delete()
		} else if _, err := tx.Put(Record{Parts: [2][]byte{value[:n]}}); err != nil {
			t.Fatal(err)
		}
		tx.End()
	}
	if got := resident(t) - before; got > limit*115/100 {
		t.Errorf("with a limit of %d: %d more resident", limit, got)
	}
	if err := s.SetLimit(limit / 4); err != nil {
		t.Fatal(err)
	}
	if got := resident(t) - before; got > limit/4*130/100 {
		t.Errorf("with the limit lowered to %d: %d more resident", limit/4, got)
	}
	check(t, s)
}

// TestRemovedFirst removes half of what is there, in ways that leave its memory to be found, and stores as much again: nothing
// may be evicted.
func TestRemovedFirst(t *testing.T) {
	const limit = 4 << 20
	const n = limit * 3 / 4 / 230
	value := strings.Repeat("v", 200)
	for name, remove := range map[string]func(s *Store, c *clock, i int){
		"deleted": func(s *Store, _ *clock, i int) {
			tx := s.Begin(fmt.Append(nil, "old:", i))
			if tx.Find() {
				tx.Delete()
			}
			tx.End()
		},
		"touched to expire": func(s *Store, c *clock, i int) {
			tx := s.Begin(fmt.Append(nil, "old:", i))
			if tx.Find() {
				tx.SetExpiry(c.t + 1)
			}
			tx.End()
		},
		"flushed by prefix": func(s *Store, _ *clock, i int) {
			if i == 0 {
				s.FlushPrefix([]byte("old:"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := open(t, Options{MaxBytes: limit})
			for i := range n / 2 {
				put(t, s, fmt.Sprint("old:", i), value, 0)
				put(t, s, fmt.Sprint("kept:", i), value, 0)
			}
			for i := range n / 2 {
				remove(s, c, i)
			}
			c.t += 2
			for i := range n / 2 {
				put(t, s, fmt.Sprint("new:", i), value, 0)
			}
			if st := s.Stats(); st.Evictions != 0 || st.OutOfMemory != 0 {
				t.Errorf("%d live items evicted, %d refused", st.Evictions, st.OutOfMemory)
			}
			for i := range n / 2 {
				want(t, s, fmt.Sprint("kept:", i), value)
			}
			check(t, s)
		})
	}
}

// TestLimitUnderLoad moves the limit up and down while several goroutines store and look up.
func TestLimitUnderLoad(t *testing.T) {
	var second atomic.Int64
	second.Store(1_800_000_000)
	s, err := New(Options{MaxBytes: 16 << 20, Now: second.Load})
	if err != nil {
		t.Fatal(err)
	}
	steps := 20_000
	if raceEnabled {
		steps = 4_000
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			for range steps {
				key := fmt.Sprint("key:", r.IntN(200_000))
				v := sealed(key, 12+r.IntN(500), uint64(w))
				tx := s.Begin([]byte(key))
				if tx.Find() && !intact(key, tx.Value()) {
					t.Errorf("%q is corrupt", key)
				}
				if _, err := tx.Put(Record{Parts: [2][]byte{v}}); err != nil {
					t.Errorf("%q is refused: %v", key, err)
				}
				tx.End()
			}
		})
	}
	for i := range 40 {
		limit := int64(4+i*7%28) << 20
		if err := s.SetLimit(limit); err != nil {
			t.Error(err)
		}
	}
	workers.Wait()
	const last = 2 << 20
	if err := s.SetLimit(last); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Used > last || st.Items == 0 {
		t.Errorf("%d items in %d bytes, with a limit of %d", st.Items, st.Used, last)
	}
	check(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLargest stores an item of a gibibyte in a store that holds two, when LINTEL_LARGEST is set: it takes three of memory.
func TestLargest(t *testing.T) {
	if os.Getenv("LINTEL_LARGEST") == "" {
		t.Skip("LINTEL_LARGEST is not set")
	}
	const size = 1<<30 - 1000
	s, _ := open(t, Options{MaxBytes: 2 << 30, MaxItemSize: 1 << 30})
	for i := range 100_000 {
		put(t, s, fmt.Sprint("small:", i), strings.Repeat("s", 100), 0)
	}
	value := bytes.Repeat([]byte("0123456789"), size/10)
	for round := range 3 {
		tx := s.Begin([]byte("large"))
		tx.Find()
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		tx.End()
	}
	tx := s.Begin([]byte("large"))
	if !tx.Find() || !bytes.Equal(tx.Value(), value) {
		t.Error("the large item is gone or wrong")
	}
	tx.End()
	small := 0
	s.Scan(func(it Item) bool { small++; return true })
	if small < 100_000 {
		t.Errorf("%d of 100,001 items left", small)
	}
	check(t, s)
}
