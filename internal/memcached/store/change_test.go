package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// seen is what clients can learn of an item.
type seen struct {
	value  string
	flags  uint32
	cas    uint64
	expiry int64
	stale  bool
}

// changes records what Hooks.Change is called with.
type changes struct {
	t    *testing.T
	s    *Store
	last []uint64 // number of the last change of each lane
	got  []string // kinds and keys since the last reset
}

func (c *changes) change(lane int, number uint64, kind Change, key []byte) {
	if number <= c.last[lane] {
		c.t.Errorf("lane %d: number %d after %d", lane, number, c.last[lane])
	}
	c.last[lane] = number
	c.got = append(c.got, fmt.Sprintf("%d %s", kind, key))
}

// state returns all live items.
func state(s *Store) map[string]seen {
	all := make(map[string]seen)
	for it := range s.Scan {
		tx := s.Begin([]byte(string(it.Key)))
		if tx.Find() {
			all[string(it.Key)] = seen{string(tx.Value()), tx.Flags(), tx.CAS(), tx.Expiry(), tx.Stale()}
		}
		tx.End()
	}
	return all
}

// TestChanges runs random transactions and flushes. After each, the records must
// name exactly the keys of which clients can see a difference, and the numbers
// must move on by one each, with Listen on or off.
func TestChanges(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := &changes{t: t}
		s, clock := open(t, Options{MaxBytes: 16 << 20, Hooks: Hooks{Change: c.change}})
		c.s, c.last = s, make([]uint64, s.Lanes())
		listening := false
		var flushAt int64
		for step := range 3000 {
			if r.IntN(100) == 0 {
				listening = !listening
				s.Listen(listening)
			}
			before, numbers := state(s), s.Numbers(nil)
			if c.got = c.got[:0]; len(before) > 60 {
				t.Fatalf("%d items", len(before))
			}
			want := 1 // records of all lanes
			what := ""
			switch n := r.IntN(40); {
			case n == 0:
				what = "flush all"
				s.FlushAll(0)
				flushAt, want = 0, s.Lanes()
			case n == 1:
				what = "flush prefix"
				s.FlushPrefix([]byte("b"))
				want = s.Lanes()
			case n == 2:
				what = "flush all later"
				flushAt, want = clock.t+2, 0
				s.FlushAll(flushAt)
			case n < 6:
				what = "time passes"
				clock.t++
				if want = 0; flushAt != 0 && clock.t >= flushAt {
					flushAt, want = 0, s.Lanes()
				}
				s.Numbers(nil) // the flush takes effect
			default:
				key := fmt.Sprintf("%c%d", 'a'+r.IntN(2), r.IntN(25))
				what = transact(s, r, key, clock.t)
				if want = 0; before[key] != state(s)[key] {
					want = 1
				}
				kind := map[string]Change{"delete": Deleted, "touch": Touched}[what]
				if kind == Unchanged {
					kind = Changed
				}
				if want == 1 && listening && (len(c.got) != 1 || c.got[0] != fmt.Sprintf("%d %s", kind, key)) {
					t.Errorf("seed %d step %d: %s of %s gave %q", seed, step, what, key, c.got)
				}
				after := state(s)
				delete(before, key)
				delete(after, key)
				if !maps.Equal(before, after) {
					t.Fatalf("seed %d step %d: %s of %s changed other items", seed, step, what, key)
				}
			}
			moved := 0
			for lane, n := range s.Numbers(nil) {
				moved += int(n - numbers[lane])
				if listening && len(c.got) > 0 && n != max(c.last[lane], numbers[lane]) {
					t.Errorf("seed %d step %d: lane %d is at %d, the last record is %d", seed, step, lane, n, c.last[lane])
				}
			}
			records := want
			if !listening {
				records = 0
			}
			if moved != want || len(c.got) != records {
				t.Fatalf("seed %d step %d: %s moved the numbers by %d and gave %q, expected %d and %d records", seed, step, what, moved, c.got, want, records)
			}
		}
	}
}

// transact runs a random transaction on key.
func transact(s *Store, r *rand.Rand, key string, now int64) string {
	tx := s.Begin([]byte(key))
	defer tx.End()
	found := tx.Find()
	if n := r.IntN(10); !found || n < 3 {
		rec := Record{Flags: r.Uint32N(2), Parts: [2][]byte{[]byte("value")}}
		if r.IntN(3) == 0 {
			rec.Expiry = now + 1 + r.Int64N(3)
		}
		if _, err := tx.Put(rec); err != nil {
			panic(err)
		}
		if r.IntN(3) == 0 {
			tx.SetExpiry(now + 5)
			return "put and touch"
		}
		return "put"
	}
	switch r.IntN(7) {
	case 0:
		tx.Delete()
		return "delete"
	case 1:
		tx.SetExpiry([]int64{0, tx.Expiry(), now + 1, now + 3}[r.IntN(4)])
		return "touch"
	case 2:
		tx.SetMarks(r.IntN(2) == 0, r.IntN(2) == 0)
		return "marks"
	case 3:
		tx.SetCAS(0)
		return "cas"
	case 4:
		tx.Overwrite([]byte("VALUE")[:len(tx.Value())])
		return "overwrite"
	case 5:
		tx.SetExpiry(now + 2)
		tx.SetMarks(true, false)
		tx.SetCAS(0)
		return "invalidate"
	}
	tx.Bump()
	tx.Warm()
	return "read"
}

// TestChangesLeaveOutEvictions fills a store several times over: what is evicted
// and what is found expired is not announced.
func TestChangesLeaveOutEvictions(t *testing.T) {
	c := &changes{t: t}
	s, clock := open(t, Options{MaxBytes: MinLimit, Hooks: Hooks{Change: c.change}})
	c.s, c.last = s, make([]uint64, s.Lanes())
	s.Listen(true)
	const n = 20_000
	for i := range n {
		tx := s.Begin(fmt.Append(nil, "key", i))
		if _, err := tx.Put(Record{Expiry: clock.t + 1, Parts: [2][]byte{make([]byte, 200)}}); err != nil {
			t.Fatal(err)
		}
		tx.End()
	}
	if s.Stats().Evictions == 0 {
		t.Error("nothing was evicted")
	}
	clock.t += 2
	for i := range n {
		tx := s.Begin(fmt.Append(nil, "key", i))
		if tx.Find() {
			t.Fatal("found after its expiry")
		}
		tx.End()
	}
	if len(c.got) != n || slices.ContainsFunc(c.got, func(r string) bool { return !strings.HasPrefix(r, "1 ") }) {
		t.Errorf("%d records, expected one Changed for each of %d puts", len(c.got), n)
	}
}
