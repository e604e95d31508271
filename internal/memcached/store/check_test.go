package store

import "lintel.dev/internal/memcached/arena"

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check verifies that the books of an idle store agree with its memory.
func check(t failer, s *Store) {
	t.Helper()
	var used int64
	var queued [queues]int64
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		var items, bytes, dead int64
		for q := range sh.queues {
			var older arena.Loc
			var sum int64
			for base := sh.queues[q].oldest; base != 0; {
				g := s.pool.segment(base)
				if g.state != segmentUsed || g.shard != uint32(i) || g.queue != uint32(q) || g.older != older || g.gone != 0 {
					t.Fatalf("shard %d, segment %x: header %+v after %x", i, base, *g, older)
				}
				n, live := int32(0), int64(0)
				for c := sh.walk(base); c.next(); {
					r := &c.record
					n++
					live += int64(len(r.b))
					l, at := sh.slotOf(s.hash.sum(r.keyBytes()), r.loc, 0)
					if l.slots[at]&locMask != uint64(r.loc) {
						t.Fatalf("slot %x of record %x", l.slots[at], r.loc)
					}
					if e := r.expiry(); e != 0 && (g.expiry == 0 || g.expiry > e) {
						t.Fatalf("segment says nothing expires before %d, an item does at %d", g.expiry, e)
					}
					bytes += int64(sh.sizeOf(r))
				}
				if n != g.items || live != g.live || int64(g.end) > g.size || base < s.pool.Extents && int64(g.end) == g.size {
					t.Fatalf("shard %d, segment %x: %d items of %d bytes, header %+v", i, base, n, live, *g)
				}
				if g.expiry != 0 && (sh.due.Load() == 0 || sh.due.Load() > g.expiry) {
					t.Fatalf("shard %d is due at %d, a segment at %d", i, sh.due.Load(), g.expiry)
				}
				items += int64(n)
				dead += int64(g.end) - segmentHeader - live
				sum += g.size
				if base < s.pool.Extents {
					used += g.size
				}
				older, base = base, g.newer
			}
			if older != sh.queues[q].newest || sum != sh.queues[q].bytes {
				t.Fatalf("shard %d, queue %d: ends at %x with %d bytes, should %x with %d", i, q, older, sum, sh.queues[q].newest,
					sh.queues[q].bytes)
			}
			queued[q] += sum
		}
		slots := int64(0)
		for j := range sh.index.leaves {
			l := &sh.index.leaves[j]
			n, last := 0, uint64(0)
			for k, w := range l.slots {
				if w == 0 {
					continue
				}
				n++
				if w>>tagShift < last || l.home(w>>tagShift) > k {
					t.Fatalf("leaf out of order at %d", k)
				}
				last = w >> tagShift
			}
			if n != l.n {
				t.Fatalf("leaf has %d words, counts %d", n, l.n)
			}
			slots += int64(n)
			used += int64(len(l.slots)) * 8
		}
		used += int64(len(sh.ghost.entries)) * 2
		var counted, countedBytes int64
		for j := range sh.class {
			counted += sh.class[j].Items
			countedBytes += sh.class[j].Bytes
		}
		if items != slots || items != sh.total || items != counted || bytes != countedBytes || dead != sh.gone+sh.leaving[0].gone+sh.leaving[1].gone {
			t.Fatalf("shard %d: %d items, %d slots, total %d, counted %d; %d bytes, counted %d; %d dead, counted %d", i, items, slots,
				sh.total, counted, bytes, countedBytes, dead, sh.gone)
		}
		sh.mu.Unlock()
	}
	extents, err := s.pool.Audit()
	if err != nil {
		t.Fatalf("%v", err)
	}
	used += extents
	for q := range queued {
		if queued[q] != s.queued[q].Load() {
			t.Fatalf("queue %d has %d bytes, counted %d", q, queued[q], s.queued[q].Load())
		}
	}
	if used != s.pool.Used() {
		t.Fatalf("%d bytes in use, counted %d", used, s.pool.Used())
	}
}
