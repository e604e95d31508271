package store

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// benchKeys is how many items of 100 bytes the benchmarks work on: about 64 MiB of them.
const benchKeys = 450_000

func benchKey(b []byte, n uint64) []byte {
	return strconv.AppendUint(append(b[:0], "key:00000000"...), 1_000_000+n, 10)
}

func filled(t testing.TB, limit int64, n uint64) *Store {
	s, _ := open(t, Options{MaxBytes: limit})
	value := make([]byte, 100)
	var key []byte
	for i := range n {
		key = benchKey(key, i)
		tx := s.Begin(key)
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			t.Fatal(err)
		}
		tx.End()
	}
	return s
}

func BenchmarkFind(b *testing.B) {
	s := filled(b, 96<<20, benchKeys)
	r := rand.New(rand.NewPCG(1, 2))
	key := make([]byte, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		key = benchKey(key, r.Uint64N(benchKeys))
		tx := s.Begin(key)
		if !tx.Find() {
			b.Fatal("lost")
		}
		tx.Bump()
		tx.End()
	}
}

// BenchmarkPut stores new items in a full store, so each drives one out.
func BenchmarkPut(b *testing.B) {
	s := filled(b, 64<<20, benchKeys*2)
	value := make([]byte, 100)
	key := make([]byte, 0, 32)
	n := uint64(benchKeys * 2)
	b.ReportAllocs()
	for b.Loop() {
		n++
		key = benchKey(key, n)
		tx := s.Begin(key)
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			b.Fatal(err)
		}
		tx.End()
	}
}

// BenchmarkReplace stores items anew in a store with room for a third more than they are.
func BenchmarkReplace(b *testing.B) {
	s := filled(b, 96<<20, benchKeys)
	r := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 100)
	key := make([]byte, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		key = benchKey(key, r.Uint64N(benchKeys))
		tx := s.Begin(key)
		if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
			b.Fatal(err)
		}
		tx.End()
	}
	st := s.Stats()
	if st.Evictions > 0 {
		b.Errorf("%d evictions though all items fit", st.Evictions)
	}
	b.ReportMetric(float64(st.Moved)/float64(b.N), "moved/op")
}

// BenchmarkAnnounce is what numbering adds to a change while nothing listens.
func BenchmarkAnnounce(b *testing.B) {
	s, _ := open(b, Options{MaxBytes: MinLimit})
	sh := &s.shards[0]
	key := []byte("key")
	for b.Loop() {
		sh.announce(Changed, key)
	}
}

// BenchmarkZipf asks for keys by Zipf's law and stores what is missing, ten times as many as fit.
func BenchmarkZipf(b *testing.B) {
	s := filled(b, 16<<20, 100_000)
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, 1_000_000)
	value := make([]byte, 100)
	key := make([]byte, 0, 32)
	missed := 0
	b.ReportAllocs()
	for b.Loop() {
		key = benchKey(key, z.Uint64())
		tx := s.Begin(key)
		if tx.Find() {
			tx.Bump()
		} else {
			missed++
			if _, err := tx.Put(Record{Parts: [2][]byte{value}}); err != nil {
				b.Fatal(err)
			}
		}
		tx.End()
	}
	b.ReportMetric(float64(missed)/float64(b.N), "miss/op")
}
