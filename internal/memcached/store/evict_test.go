package store

import (
	"math/rand/v2"
	"testing"
)

// TestBatches fills a store over and over with items that are not used again: what is half emptied when the lock is given up must
// be evicted to its end, not be taken for a segment worth compacting, and there must be room for the segments to come.
func TestBatches(t *testing.T) {
	s, _ := open(t, Options{MaxBytes: 16 << 20})
	value := make([]byte, 100)
	var key []byte
	for i := range uint64(400_000) {
		key = benchKey(key, i)
		tx := s.Begin(key)
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			t.Fatal(err)
		}
		tx.End()
		if i%1000 == 0 && i > 200_000 {
			if !s.pool.Fits(s.pool.Seg) {
				t.Fatalf("%d bytes of %d in use after End", s.pool.Used(), s.pool.Limit())
			}
			emptied := 0
			for j := range s.shards {
				for q := range s.shards[j].leaving {
					if b := &s.shards[j].leaving[q]; b.is(&s.shards[j]) && b.gone > 0 {
						emptied++
					}
				}
			}
			if emptied > 2 {
				t.Fatalf("%d segments are being emptied at a time", emptied)
			}
		}
	}
	if st := s.Stats(); st.Moved > 0 || st.Evictions == 0 {
		t.Errorf("%d items moved, %d evicted", st.Moved, st.Evictions)
	}
	check(t, s)
}

// TestSparse replaces items at random in a store that is two thirds full: the dead bytes must do for the new ones, although
// segments are looked for seldom and emptied by and by.
func TestSparse(t *testing.T) {
	for _, noEvict := range []bool{false, true} {
		s, _ := open(t, Options{MaxBytes: 16 << 20, NoEvict: noEvict})
		const keys = 70_000
		stores := uint64(400_000)
		if raceEnabled {
			stores = 150_000
		}
		r := rand.New(rand.NewPCG(1, 2))
		value := make([]byte, 100)
		var key []byte
		for i := range stores {
			n := i
			if i >= keys {
				n = r.Uint64N(keys)
			}
			key = benchKey(key, n)
			tx := s.Begin(key)
			if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
				t.Fatal(err)
			}
			tx.End()
		}
		st := s.Stats()
		if st.Items != keys || st.Evictions > 0 {
			t.Errorf("%d items, %d evicted", st.Items, st.Evictions)
		}
		if st.Moved > 2*st.TotalItems {
			t.Errorf("%d items were moved for %d stored", st.Moved, st.TotalItems)
		}
		check(t, s)
	}
}
