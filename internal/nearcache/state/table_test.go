package state

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTableIsBounded checks index, queues and memory against a map, with keys
// that come, are replaced, changed and evicted.
func TestTableIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxBytes = 20_000
		table := NewTable(Config{MaxBytes: maxBytes})
		src := NewSource("s")
		src.fresh.Store(0)
		// Hashes that collide in the index, and are not equal.
		hash := func(n int) uint64 { return uint64(n%7)<<40 | uint64(n/7) }
		latest := make(map[int]string)
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			n := rapid.IntRange(0, 150).Draw(t, "key")
			key := fmt.Sprint("key", n)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				table.Invalidate(hash(n))
				delete(latest, n)
			case 1, 2:
				v, ok := table.Hit(hash(n), key, 0, 1, 10)
				if ok && v.Data != latest[n] {
					t.Fatalf("%s is %q, expected %q", key, v.Data, latest[n])
				}
			default:
				data := strings.Repeat(key, rapid.IntRange(0, 300).Draw(t, "length"))
				p, _, _ := table.Begin(hash(n), key, src, 0, 0)
				table.Finish(p, key, Value{}, Reply{Value: Value{Data: data, TTL: Unlimited}}, 0)
				latest[n] = data
			}
			s := &table.shards[0]
			if s.bytes > maxBytes {
				t.Fatalf("%d bytes, expected at most %d", s.bytes, maxBytes)
			}
			var bytes int64
			entries := 0
			for _, r := range []*ring{&s.small, &s.mainQ} {
				var queued int64
				for i := r.first; i != 0; i = s.at(i).next {
					e := s.at(i)
					if s.find(e.hash) != e {
						t.Fatalf("%s is queued and not found", e.key())
					}
					queued += e.cost()
					entries++
				}
				if queued != r.bytes {
					t.Fatalf("a queue has %d bytes, expected %d", queued, r.bytes)
				}
				bytes += queued
			}
			if bytes != s.bytes || entries != s.used {
				t.Fatalf("%d bytes in %d entries, expected %d in %d", bytes, entries, s.bytes, s.used)
			}
		}
	})
}

// TestMemoryOfAnEntry compares the table's account with the heap.
func TestMemoryOfAnEntry(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory, too")
	}
	const n, value = 200_000, 100
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	table := NewTable(Config{MaxBytes: 1 << 30})
	src := NewSource("s")
	for i := range n {
		key := fmt.Sprintf("key:%012d", i)
		p, _, _ := table.Begin(rand.Uint64(), key, src, 0, 0)
		table.Finish(p, key, Value{}, Reply{Value: Value{Data: strings.Repeat("v", value), TTL: Unlimited}}, 0)
	}
	used := heap() - before
	said := table.Stats().Bytes
	t.Logf("%d octets an entry beside key and value; the account says %d", used/n-value-16, said/n-value-16)
	if used > said*5/4 {
		t.Errorf("%d bytes on the heap, the account says %d", used, said)
	}
	runtime.KeepAlive(table)
}

// TestHotKeysStay reads a few keys often and many once.
func TestHotKeysStay(t *testing.T) {
	table := NewTable(Config{MaxBytes: 100 << 10})
	src := NewSource("s")
	src.fresh.Store(0)
	read := func(n int) bool {
		key, hash := fmt.Sprint(n), uint64(n)*0x9e3779b97f4a7c15
		if _, ok := table.Hit(hash, key, 0, 0, 1); ok {
			return true
		}
		p, _, _ := table.Begin(hash, key, src, 0, 0)
		table.Finish(p, key, Value{}, Reply{Value: Value{Data: strings.Repeat("v", 100), TTL: Unlimited}}, 0)
		return false
	}
	hits, reads := 0, 0
	for i := range 50_000 {
		read(1000 + i) // once
		if i > 5000 {
			reads++
			if read(i % 300) {
				hits++
			}
		}
	}
	if hits < reads*95/100 {
		t.Errorf("%d of %d reads of hot keys hit, expected 95 %%", hits, reads)
	}
}

// TestKeyThatChangesOftenIsBypassed: each value is removed before it is read.
func TestKeyThatChangesOftenIsBypassed(t *testing.T) {
	table := NewTable(Config{MaxBytes: 1 << 20})
	src := NewSource("s")
	fill := func(now int64) bool {
		p, _, _ := table.Begin(1, "k", src, 0, now)
		table.Finish(p, "k", Value{}, Reply{Value: Value{TTL: Unlimited}}, 0)
		table.Invalidate(1)
		return p.token != 0
	}
	for i := range wasteFills {
		if !fill(int64(i)) {
			t.Fatalf("bypassed after %d values", i)
		}
	}
	if fill(wasteFills) {
		t.Error("not bypassed")
	}
	if !fill(wasteFills + int64(wasteBypass)) {
		t.Error("bypassed for longer than the time of a bypass")
	}
	if n := table.Stats().Bypassed; n != 1 {
		t.Errorf("%d questions were counted as bypassed, expected 1", n)
	}
}

// TestLifeOfAValue: the server's TTL and the maximum age count from the question
// on, and the age bounds what is served without a feed.
func TestLifeOfAValue(t *testing.T) {
	second := int64(time.Second)
	for _, c := range []struct {
		ttl     uint32
		maxAge  int64
		fresh   int64
		at      int64
		served  bool
		comment string
	}{
		{Unlimited, 0, 100 * second, 100 * second, true, "no end"},
		{5, 0, 100 * second, 4 * second, true, "before its TTL"},
		{5, 0, 100 * second, 5 * second, false, "at its TTL"},
		{5, 3 * second, 100 * second, 3 * second, false, "at its age"},
		{Unlimited, 3 * second, 100 * second, 2 * second, true, "before its age"},
		{Unlimited, 0, never, second, true, "without a feed, at the bound"},
		{Unlimited, 0, never, second + 1, false, "without a feed, later"},
		{0, 0, 100 * second, 0, false, "a TTL that is over"},
	} {
		table := NewTable(Config{MaxBytes: 1 << 20})
		src := NewSource("s")
		src.fresh.Store(c.fresh)
		p, _, _ := table.Begin(1, "k", src, 0, 0)
		table.Finish(p, "k", Value{}, Reply{Value: Value{TTL: c.ttl}}, c.maxAge)
		if _, ok := table.Hit(1, "k", 0, c.at, second); ok != c.served {
			t.Errorf("%s: served is %v", c.comment, ok)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	table := NewTable(Config{MaxBytes: 64 << 20})
	src := NewSource("s")
	src.fresh.Store(0)
	const keys = 1 << 12
	var names [keys]string
	hash := func(i int) uint64 { return uint64(i+1) * 0x9e3779b97f4a7c15 }
	for i := range names {
		names[i] = fmt.Sprintf("key:%08d", i)
		p, _, _ := table.Begin(hash(i), names[i], src, 0, 0)
		table.Finish(p, names[i], Value{}, Reply{Value: Value{Data: "value", TTL: Unlimited}}, 0)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := table.Hit(hash(i%keys), names[i%keys], 0, 1, 10); !ok {
				b.Fatal("miss")
			}
		}
	})
}
