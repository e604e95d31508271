package store

import (
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/arena"
)

// noteDue records that an item of the shard expires at a unix second.
func (sh *shard) noteDue(at int64) {
	if d := sh.due.Load(); d == 0 || at < d {
		sh.due.Store(at)
	}
}

// dueSegment reports whether a segment has an expired item, or may have a flushed
// one.
func (sh sweeper) dueSegment(g *segment, now int64) bool {
	return g.expiry != 0 && g.expiry <= now || g.rules != sh.flushes
}

// sweepDue removes expired and flushed items until that has freed memory, and
// reports whether it has. It reads a segment at most once a second: again when
// its next item expires.
func (sh sweeper) sweepDue(now int64) bool {
	if d := sh.due.Load(); d == 0 || d > now {
		return false
	}
	before := sh.pool.Used()
	sh.sweep(now, func() bool { return sh.pool.Used() < before })
	return sh.pool.Used() < before
}

// sweep removes expired and flushed items, segment by segment, until stop returns
// true. nil is never.
func (sh sweeper) sweep(now int64, stop func() bool) {
	var due int64
	whole := true
	for q := range sh.queues {
		for base := sh.queues[q].oldest; base != 0; {
			g := sh.pool.segment(base)
			next, size := g.newer, sh.queues[q].bytes
			if sh.dueSegment(g, now) {
				if !whole {
					due = 1
				} else {
					sh.sweepSegment(base, now, nil, false)
					whole = stop == nil || !stop()
				}
			}
			if size == sh.queues[q].bytes && g.expiry != 0 && (due == 0 || g.expiry < due) { // not freed
				due = g.expiry
			}
			base = next
		}
	}
	sh.due.Store(due)
	if whole && len(sh.prefixes) > 0 {
		sh.prefixes = sh.prefixes[:0]
		loader(sh).saveFlushes()
	}
}

// sweepSegment removes the expired and flushed items of a segment that are in a
// class for which want returns true. nil is all.
func (sh sweeper) sweepSegment(base arena.Loc, now int64, want func(class int) bool, crawler bool) (checked, reclaimed int) {
	g := sh.pool.segment(base)
	next, rules := int64(0), sh.flushes
	sh.swept = base
	for c := sh.walk(base); c.next(); {
		r := &c.record
		class := ClassOf(sh.sizeOf(r))
		if want != nil && !want(class) {
			rules = g.rules // flushed items may be left
			if e := r.expiry(); e != 0 && (next == 0 || e < next) {
				next = e
			}
			continue
		}
		checked++
		if crawler {
			sh.class[class-1].CrawlerChecked++
		}
		m := sh.visible(r, now)
		if m == Absent {
			if e := r.expiry(); e != 0 && (next == 0 || e < next) {
				next = e
			}
			continue
		}
		reclaimed++
		if crawler {
			counter(sh).crawled(r, m)
		} else {
			counter(sh).reclaimed(r, m)
		}
		l, i := sh.slotOf(sh.s.hash.sum(r.keyBytes()), r.loc, 0)
		sh.remove(l, i, r)
	}
	sh.swept = 0
	g.expiry, g.rules = next, rules
	sh.reap(base)
	return checked, reclaimed
}

func (sh counter) crawled(r *record, m Miss) {
	c := sh.classOf(r)
	c.CrawlerReclaimed++
	if m == Expired && !r.fetched() {
		c.ExpiredUnfetched++
	}
}

// segments appends the shard's segments to list, to be visited one by one without
// the lock.
func (sh sweeper) segments(list []place) []place {
	for q := range sh.queues {
		for b := sh.queues[q].oldest; b != 0; {
			g := sh.pool.segment(b)
			list = append(list, place{b, int64(g.seq)})
			b = g.newer
		}
	}
	return list
}

// Crawl checks every item of the classes for which want returns true (nil is all)
// and removes those that are expired or flushed. It returns how many it checked
// and removed. Background sweeps do the same when items expire. pause is called
// after each segment, without a lock, and ends the crawl by returning false. nil
// is no pause.
func (s *Store) Crawl(want func(class int) bool, pause func() bool) (checked, reclaimed int) {
	for i := range s.shards {
		c, r := sweeper{&s.shards[i]}.crawl(want, false, pause)
		checked, reclaimed = checked+c, reclaimed+r
	}
	return checked, reclaimed
}

// crawl sweeps the shard's segments, or only those that are due. It holds the lock
// for one segment at a time.
func (sh sweeper) crawl(want func(class int) bool, due bool, pause func() bool) (checked, reclaimed int) {
	sh.lock()
	list := sh.segments(nil)
	sh.mu.Unlock()
	for _, p := range list {
		if sh.s.stopping() {
			break
		}
		sh.lock()
		g := sh.pool.segment(p.base)
		// The segment may have been reused. Its state is stored last.
		if atomic.LoadUint32(&g.state) == segmentUsed && g.shard == uint32(sh.id) && g.seq == uint64(p.off) {
			if now := sh.s.now(); !due || sh.dueSegment(g, now) {
				c, r := sh.sweepSegment(p.base, now, want, true)
				checked, reclaimed = checked+c, reclaimed+r
			}
		}
		sh.mu.Unlock()
		if pause != nil && !pause() {
			break
		}
	}
	return checked, reclaimed
}

// tend is the background goroutine: it keeps the clock, sweeps what is due, and
// shrinks indexes.
func (s *Store) tend() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.clock.Store(now.Unix())
		}
		if n%10 == 0 {
			s.pool.Regrow()
		}
		if n%10 == 0 && !s.opts.NoSweep {
			if !s.still.Load() {
				s.sweepAll()
			}
			s.trimIndex(n / 10)
		}
	}
}

// SetSweep turns background sweeps on or off. They are on in a new store.
func (s *Store) SetSweep(on bool) { s.still.Store(!on) }

// sweepAll sweeps what is due in every shard.
func (s *Store) sweepAll() {
	for i := range s.shards {
		sh := &s.shards[i]
		if d := sh.due.Load(); d != 0 && d <= s.now() {
			sweeper{sh}.crawl(nil, true, nil)
			sh.lock()
			sweeper{sh}.sweep(s.now(), nil) // what became due meanwhile; also finds what is due next
			sh.mu.Unlock()
		}
	}
}

// trimIndex shrinks mostly empty leaves of one shard's index.
func (s *Store) trimIndex(n int) {
	sh := &s.shards[n%len(s.shards)]
	for i := range sh.index.leaves {
		sh.lock()
		sh.index.trim(i)
		sh.mu.Unlock()
	}
}

func (s *Store) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
