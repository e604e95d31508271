package store

import (
	"math"
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// Eviction is S3-FIFO (Yang et al., SOSP 2023) over segments. New items go to the
// small queue. From its oldest segment, items that were used move to the main
// queue. The others are evicted and remembered by the ghost: one that is stored
// again soon goes to the main queue. From the oldest segment of the main queue,
// items that were used since are written to its new end, with a use less, and the
// others are evicted.
//
// The queues are those of the whole store: the oldest segment of all shards is
// emptied first.
const (
	// smallShare is the percentage of the memory that the small queue keeps when the
	// main queue grows.
	smallShare = 10
	// turnover is how many bytes leave the small queue for each byte of the main queue
	// that is examined meanwhile, however short the small queue is. Otherwise items
	// that were once in use would stay when no later item is used.
	turnover = 32
	// deadShare is the part of a segment, as a divisor, that must be dead for it to be
	// compacted before anything is evicted.
	deadShare        = 8
	deadShareNoEvict = 32
	// effortStep is the effort spent on making room after which items with one more
	// use are evicted too. A segment costs segmentEffort, an extent 1.
	effortStep    = 8 * segmentEffort
	segmentEffort = 32
	// batchRecords and batchBytes bound the records examined under one lock. While
	// others wait for the lock it is one batch.
	batchRecords = 32
	batchBytes   = 16 << 10
	// spareShare is the part of the segments, as a divisor, that is kept free as
	// spare segments, maxSpare at most.
	spareShare = 512
	maxSpare   = 2
)

// begun is a segment that is being emptied. Nothing is left in it before off.
type begun struct {
	base arena.Loc
	seq  uint64
	off  int64
	gone int64 // bytes evicted from it, which the shard does not count as gone: it is not compacted
}

// is reports whether the segment has not been reused.
func (b *begun) is(sh *shard) bool {
	if b.base == 0 {
		return false
	}
	g := sh.pool.segment(b.base)
	return atomic.LoadUint32(&g.state) == segmentUsed && g.shard == uint32(sh.id) && g.seq == b.seq
}

// walk returns a cursor for the next records of the segment. The caller takes all
// of them out of the segment.
func (b *begun) walk(sh *shard) cursor {
	c := sh.walk(b.base)
	c.off = b.off
	c.end = b.off + batchBytes
	return c
}

// batch is the next few records of a walk, whose index slots are prefetched.
type batch struct {
	n       int
	records [8]record
	hashes  [8]uint64
}

// take reads the next records. It returns false if there are none. The caller
// handles all of them.
func (b *batch) take(c *cursor) bool {
	b.n = 0
	for b.n < len(b.records) && c.next() {
		h := c.sh.s.hash.sum(c.keyBytes())
		if l := c.sh.index.leaf(h); arena.Prefetches {
			arena.PrefetchSlot(&l.slots[l.home(tagOf(h))], &c.sh.gone)
		}
		b.records[b.n], b.hashes[b.n] = c.record, h
		b.n++
	}
	return b.n > 0
}

// ended stores how far a walk came, and returns its effort.
func (b *begun) ended(c *cursor) int {
	was := b.off
	if b.off = c.off; c.left == 0 {
		b.base = 0
	}
	return max(1, int((c.off-was)*segmentEffort/c.sh.pool.Seg))
}

// keepRoom keeps spare segments, without a lock held, so that stores seldom have to
// make room under their shard's lock. One goroutine does it at a time: two would
// empty the same segments and wait for each other.
func (s *Store) keepRoom() {
	segs := s.pool.Limit() / s.pool.Seg
	if n := min(segs/spareShare, maxSpare); n > 0 && s.keeping.CompareAndSwap(false, true) {
		s.makeRoom(nil, n*s.pool.Seg)
		s.keeping.Store(false)
	}
}

// makeRoom frees memory until n more bytes fit. It returns false if it cannot.
func (sh *shard) makeRoom(n int64, tries int) bool {
	s := sh.s
	limit := sh.pool.Limit()
	if n > limit-limit/8 || tries > 100 {
		return false
	}
	return s.makeRoom(sh, n)
}

func (s *Store) makeRoom(own *shard, n int64) bool {
	most := segmentEffort * (int(8*max(s.pool.Limit(), s.pool.Used())/s.pool.Seg) + 64)
	for spent := 0; !s.pool.Fits(n); {
		// The longer it takes, the more uses are ignored, so that the wait is bounded.
		effort := s.reclaim(own, uint64(min(spent/effortStep, freqMax)))
		if spent += effort; effort == 0 || spent > most {
			return false
		}
	}
	return true
}

// reclaim takes one step towards freeing memory: first expired, flushed and dead
// items, then eviction. The caller holds the lock of own, or none if own is nil.
// Items used up to spare times are evicted. reclaim returns the effort, 0 if
// nothing could be done.
func (s *Store) reclaim(own *shard, spare uint64) int {
	now := s.now()
	for i := range s.shards {
		sh := &s.shards[i]
		if due := sh.due.Load(); due == 0 || due > now || !sh.take(own) {
			continue
		}
		done := sweeper{sh}.sweepDue(now)
		sh.leave(own)
		if done {
			return segmentEffort
		}
	}
	least := s.pool.Seg / deadShare
	if s.opts.NoEvict {
		least = s.pool.Seg / deadShareNoEvict
	}
	if effort := s.compactWorst(least, own); effort > 0 {
		return effort
	}
	if s.opts.NoEvict {
		return 0
	}
	q := main
	if p, all := s.queued[small].Load(), s.queued[small].Load()+s.queued[main].Load(); p*100 > all*smallShare && s.pressure.Load() < turnover*s.pool.Seg {
		q = small
	}
	for range queues {
		if effort := s.evictOldest(q, own, spare); effort > 0 {
			return effort
		}
		q = 1 - q
	}
	return 0
}

// press keeps the balance of turnover. pressure goes below zero for a large item
// of the main queue, but not while the small queue is short.
func (s *Store) press(q int, size int64) {
	if q == small {
		s.pressure.Add(size)
	} else if p := s.pressure.Load(); p >= turnover*s.pool.Seg {
		s.pressure.Add(-turnover * size)
	} else if p > 0 {
		s.pressure.Add(-min(p, turnover*size))
	}
}

// itemsPerShard returns the mean number of items of a shard.
func (s *Store) itemsPerShard() int {
	var n int64
	for i := range s.shards {
		n += s.shards[i].items.Load()
	}
	return int(n) / len(s.shards)
}

// take locks a shard for the holder of own. It returns false if the lock stays
// held: waiting could deadlock.
func (sh *shard) take(own *shard) bool {
	if sh == own {
		return true
	}
	if !sh.mu.TryLock() && !sh.spin() {
		return false
	}
	sh.flushLate()
	return true
}

func (sh *shard) leave(own *shard) {
	if sh != own {
		sh.mu.Unlock()
	}
}

// compactWorst compacts in the shard with most dead bytes, or in the next one if
// that is locked or has no segment to compact.
func (s *Store) compactWorst(least int64, own *shard) int {
	if own != nil {
		own.publishGone()
	}
	for most := int64(math.MaxInt64); ; {
		var worst *shard
		dead := least - 1 - s.pool.maxUnshown()
		for i := range s.shards {
			if d := s.shards[i].dead.Load(); d > dead && d < most {
				worst, dead = &s.shards[i], d
			}
		}
		if worst == nil {
			return 0
		}
		if worst.take(own) {
			effort := evictor{worst}.compact(least)
			worst.leave(own)
			if effort > 0 {
				return effort
			}
		}
		most = dead
	}
}

// evictOldest evicts from the shard with the oldest segment of a queue, or from
// the next one if that is locked.
func (s *Store) evictOldest(q int, own *shard, spare uint64) int {
	last := uint64(0)
	for range s.shards {
		var best *shard
		stamp := ^uint64(0)
		for i := range s.shards {
			if o := s.shards[i].oldest[q].Load(); o < stamp && o > last {
				best, stamp = &s.shards[i], o
			}
		}
		if best == nil {
			return 0
		}
		if best.take(own) {
			effort := evictor{best}.evict(q, spare)
			best.leave(own)
			if effort > 0 {
				return effort
			}
		}
		last = stamp
	}
	return 0
}

// evict empties the oldest segment of a queue that is not pinned.
func (sh evictor) evict(q int, spare uint64) int {
	base := sh.queues[q].oldest
	for base != 0 && (base == sh.held || sh.pool.segment(base).pins > 0) {
		base = sh.pool.segment(base).newer
	}
	if base == 0 {
		return 0
	}
	g := sh.pool.segment(base)
	if g.items == 0 {
		sh.free(base)
		return 1
	}
	b := &sh.leaving[q]
	if b.base != base || !b.is(sh.shard) {
		sh.gone += b.gone // of a segment that is no longer the oldest
		*b = begun{base: base, seq: g.seq, off: segmentHeader}
		sh.shut(base)
		sh.s.press(q, g.size)
		if q == small {
			if d := sh.ghost.size(sh.s.itemsPerShard()); d != 0 {
				sh.pool.Charge(d)
			}
		}
	}
	now := sh.s.now()
	c := b.walk(sh.shard)
	live, lost := g.live, sh.lost
	var some batch
	for n := 0; n < batchRecords && some.take(&c); n += some.n {
		for k := range some.n {
			r, h := &some.records[k], some.hashes[k]
			l, i := sh.slotOf(h, r.loc, 0)
			freq := freqOf(l.slots[i])
			if m := sh.visible(r, now); m != Absent {
				counter(sh).reclaimed(r, m)
				sh.remove(l, i, r)
				continue
			}
			if freq > spare {
				freq--
				if q == small {
					freq = 0
					sh.promoted++
				}
				if sh.move(l, i, r, toMain, freq) {
					continue
				}
			}
			if q == small {
				sh.ghost.add(h)
			}
			counter(sh).evicted(r, now)
			sh.remove(l, i, r)
		}
		if sh.wanted.Load() != 0 {
			break
		}
	}
	effort := b.ended(&c)
	if sh.lost = lost; b.base != 0 {
		b.gone += live - g.live
		sh.gone -= live - g.live
	}
	if base >= sh.pool.Extents {
		return 1
	}
	return effort
}

// shut ends appending to a segment.
func (sh evictor) shut(base arena.Loc) {
	for i := range sh.open {
		if sh.open[i] == base {
			sh.open[i] = 0
		}
	}
}

// reclaimed counts an expired or flushed item that is removed to make room.
func (sh counter) reclaimed(r *record, m Miss) {
	c := sh.classOf(r)
	c.Reclaimed++
	if m == Expired && !r.fetched() {
		c.ExpiredUnfetched++
	}
}

// evicted counts an item that will be evicted, and calls the hook.
func (sh counter) evicted(r *record, now int64) {
	c := sh.classOf(r)
	c.Evictions++
	c.EvictedTime = now - r.access(now)
	if r.shape()&shapeExpiry != 0 {
		c.EvictedNonzero++
	}
	if !r.fetched() {
		c.EvictedUnfetched++
	} else if sh.pool.segment(sh.pool.Base(r.loc)).queue == main {
		c.EvictedActive++
	}
	if f := sh.s.opts.Hooks.Evict; f != nil {
		f(sh.item(r))
	}
}

// move writes a record to the end of a stream and updates its slot. An extent is
// not copied: it changes its place in the queues.
func (sh evictor) move(l *leaf, i int, r *record, stream int, freq uint64) bool {
	base := sh.pool.Base(r.loc)
	g := sh.pool.segment(base)
	was := g.queue
	if base >= sh.pool.Extents {
		sh.unlink(base)
		sh.seq++
		g.seq, g.stamp, g.rules = sh.seq, sh.s.stamp.Add(1), sh.flushes
		g.check = sh.s.seal(g, base)
		sh.link(base, uint32(stream%queues), 0)
		l.slots[i] = l.slots[i]&^(freqMax<<locBits) | freq<<locBits
	} else {
		cas := sh.casOf(r)
		h := header{
			shape: r.shape() &^ shapeLen, fetch: r.fetched(), expiry: r.expiry(), flags: r.flagBits(), access: r.access(sh.s.now()),
			sum: sh.pool.sums,
		}
		sh.carry(&h, stream, cas)
		v := r.valueBytes()
		n := h.length(r.keyLen(), len(v))
		p, ok := sh.room(stream, n, true)
		if !ok {
			return false
		}
		sh.carried(&h, p, cas)
		b := sh.pool.Bytes(p.loc(), int64(n))
		copy(b[h.write(b, r.keyBytes(), len(v)):], v)
		h.seal(b, len(v))
		sh.commit(p, n, h.expiry)
		l.slots[i] = l.slots[i]>>tagShift<<tagShift | freq<<locBits | uint64(p.loc())
		sh.moved++
		sh.drop(r)
	}
	if was == small && stream%queues == main {
		sh.classOf(r).Small--
	}
	return true
}

// mostlyDead is the part of a segment, in 1/8, that must be dead for findSparse to
// search no further.
const mostlyDead = 7

// compact continues to empty the segment with most dead bytes, if they are at
// least least, or the oldest that is mostly dead. It returns the effort, 0 if
// there is no such segment.
func (sh evictor) compact(least int64) int {
	b := sh.sparsest(least)
	if b == nil {
		return 0
	}
	g := sh.pool.segment(b.base)
	if b.off == segmentHeader {
		sh.shut(b.base)
		sh.compacted += uint64(int64(g.end) - segmentHeader - g.live)
	}
	if g.items == 0 {
		sh.free(b.base)
		b.base = 0
		return 1
	}
	sh.sweeping = b.base
	now := sh.s.now()
	stream := int(g.queue) + sweptSmall
	c := b.walk(sh.shard)
	var some batch
	for n := 0; n < batchRecords && some.take(&c); n += some.n {
		for k := range some.n {
			r := &some.records[k]
			l, i := sh.slotOf(some.hashes[k], r.loc, 0)
			if m := sh.visible(r, now); m != Absent {
				counter(sh).reclaimed(r, m)
				sh.remove(l, i, r)
				continue
			}
			if !sh.move(l, i, r, stream, freqOf(l.slots[i])) {
				b.base, sh.sweeping = 0, 0
				return 0 // no addresses left
			}
		}
		if sh.wanted.Load() != 0 {
			break
		}
	}
	sh.sweeping = 0
	return b.ended(&c)
}

// sparsest returns the segment to compact, nil for none. A search finds the next
// few, since it takes longer than emptying a batch.
func (sh evictor) sparsest(least int64) *begun {
	for range 2 {
		for i := range sh.sparse {
			if b := &sh.sparse[i]; b.base != sh.held && b.is(sh.shard) {
				return b
			}
		}
		if !sh.findSparse(least) {
			break
		}
	}
	return nil
}

// findSparse fills sparse, with the sparsest first. It returns false if there is
// nothing to compact.
func (sh evictor) findSparse(least int64) bool {
	if sh.lost < sh.search {
		return false
	}
	clear(sh.sparse[:])
	var gone [len(sh.sparse)]int64
	most := int64(0)
	for q := range sh.queues {
		for b := sh.queues[q].oldest; b != 0; {
			g := sh.pool.segment(b)
			d := int64(g.end) - segmentHeader - g.live
			if b == sh.leaving[g.queue].base {
				d = 0 // it is being emptied
			}
			most = max(most, d)
			if d >= least && b != sh.held {
				at := 0
				for at < len(gone) && gone[at] >= d {
					at++
				}
				if at < len(gone) {
					copy(gone[at+1:], gone[at:])
					copy(sh.sparse[at+1:], sh.sparse[at:])
					gone[at], sh.sparse[at] = d, begun{base: b, seq: g.seq, off: segmentHeader}
				}
				if d > g.size/8*mostlyDead {
					return true
				}
			}
			b = g.newer
		}
	}
	if most < least {
		sh.search = sh.lost + least - most
		sh.publishGone()
	}
	return sh.sparse[0].base != 0
}
