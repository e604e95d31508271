package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// sealed returns a value of n bytes, at least 12, whose content follows from its key and that ends with a checksum.
func sealed(key string, n int, seed uint64) []byte {
	v := make([]byte, 0, n)
	v = binary.LittleEndian.AppendUint64(v, seed)
	for len(v) < n-4 {
		v = append(v, key[len(v)%len(key)])
	}
	return binary.LittleEndian.AppendUint32(v, crc32.ChecksumIEEE(v)^crc32.ChecksumIEEE([]byte(key)))
}

func intact(key string, v []byte) bool {
	n := len(v) - 4
	return n >= 8 && binary.LittleEndian.Uint32(v[n:]) == crc32.ChecksumIEEE(v[:n])^crc32.ChecksumIEEE([]byte(key))
}

// TestTorture runs every operation from several goroutines in little memory.
func TestTorture(t *testing.T) {
	for _, noEvict := range []bool{false, true} {
		t.Run(fmt.Sprint("noEvict=", noEvict), func(t *testing.T) { torture(t, noEvict) })
	}
}

func torture(t *testing.T, noEvict bool) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	var evicted atomic.Int64
	s, err := New(Options{
		MaxBytes: 8 << 20, MaxItemSize: 200_000, NoEvict: noEvict, NoSweep: true, Now: clock.Load,
		Hooks: Hooks{Evict: func(Item) { evicted.Add(1) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40_000 { // more than fit
		key := fmt.Sprint("fill:", i)
		tx := s.Begin([]byte(key))
		if _, err := tx.Put(Record{Parts: [2][]byte{sealed(key, 250, 0)}}); err != nil && !noEvict {
			t.Fatal(err)
		}
		tx.End()
	}
	steps := 40_000
	if testing.Short() || raceEnabled {
		steps = 8_000
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			var pins []func()
			for i := range steps {
				step(t, s, r, &clock, &pins, uint64(i))
				if t.Failed() {
					break
				}
			}
			for _, f := range pins {
				f()
			}
		})
	}
	workers.Wait()
	check(t, s)
	if st := s.Stats(); !noEvict && (int64(st.Evictions) != evicted.Load() || st.Evictions == 0) || noEvict && st.Evictions != 0 {
		t.Errorf("%d evictions, %d seen", st.Evictions, evicted.Load())
	}
	s.FlushAll(clock.Load())
	s.Crawl(nil, nil)
	check(t, s)
	if st := s.Stats(); st.Items != 0 {
		t.Errorf("%d items left after a flush", st.Items)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func step(t *testing.T, s *Store, r *rand.Rand, clock *atomic.Int64, pins *[]func(), seed uint64) {
	switch n := r.IntN(3000); {
	case n == 0:
		clock.Add(1)
	case n == 1:
		s.FlushAll(s.Now() + int64(r.IntN(2)))
	case n == 2:
		s.FlushPrefix(fmt.Appendf(nil, "key:%d", r.IntN(10)))
	case n == 3:
		s.Crawl(func(class int) bool { return class%2 == 0 }, nil)
	case n == 4:
		_ = s.SetLimit(int64(4+r.IntN(6)) << 20) // pinned memory may keep it from getting there
	case n == 5:
		s.Scan(func(it Item) bool { return len(it.Key) > 0 && r.IntN(500) > 0 })
	case n == 6:
		s.Stats()
	}
	key := fmt.Sprintf("key:%d", int(r.ExpFloat64()*1500))
	if len(*pins) > 8 {
		(*pins)[0]()
		*pins = (*pins)[1:]
	}
	var ahead Lookup
	s.Prefetch(&ahead, []byte(key))
	if seed%2 == 0 {
		s.PrefetchItem(&ahead)
	} else {
		s.PrefetchChange(&ahead)
	}
	if r.IntN(10) == 0 {
		runtime.Gosched()
	}
	var tx Txn
	s.BeginPrefetched(&tx, &ahead)
	defer tx.End()
	found := tx.Find()
	if found && !intact(key, tx.Value()) {
		t.Errorf("%q is corrupt: %d bytes", key, len(tx.Value()))
	}
	switch n := r.IntN(20); {
	case !found || n < 6:
		size := 12 + r.IntN(300)
		if r.IntN(10) == 0 {
			size += r.IntN(20_000)
		}
		rec := Record{Flags: uint32(r.IntN(2)), Parts: [2][]byte{sealed(key, size, seed)}}
		if r.IntN(3) == 0 {
			rec.Expiry = s.Now() + int64(r.IntN(5))
		}
		if _, err := tx.Put(rec); err == nil && !intact(key, tx.Value()) {
			t.Errorf("%q is corrupt once put", key)
		}
	case n < 14:
		tx.Bump()
	case n < 15:
		tx.Overwrite(sealed(key, len(tx.Value()), seed))
	case n < 16:
		tx.SetExpiry(s.Now() + int64(r.IntN(10)))
	case n < 17:
		tx.SetCAS(0)
		tx.SetMarks(!tx.Stale(), tx.Won())
	case n < 18:
		v, release := tx.Pin()
		*pins = append(*pins, func() {
			if !intact(key, v) {
				t.Errorf("%q changed while pinned", key)
			}
			release()
		})
	default:
		tx.Delete()
	}
	if r.IntN(50) == 0 {
		runtime.Gosched()
	}
}
