package store

import (
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// Queues of a shard, in the terms of S3-FIFO. The oldest segment leaves first.
const (
	small = iota // new items
	main         // items used while in small, or stored again soon after eviction
	queues
)

// Streams of a shard. Each has a segment open for appending.
const (
	toSmall = iota // new records, by queue
	toMain
	sweptSmall // records moved out of mostly dead segments, by queue
	sweptMain
	streams
)

const segmentHeader = 128

// segment is the header at the start of every segment and extent. It is guarded
// by the lock of the shard that owns it.
type segment struct {
	state uint32 // segmentFree or segmentUsed
	shard uint32
	queue uint32
	end   uint32 // bytes in use, the header included; stored after the bytes are there
	cas   uint64 // CAS value of a record at offset 0
	size  int64  // bytes, the header included
	live  int64  // bytes of records whose items are not gone
	items int32
	pins  int32
	// A change to an item needs what is above, which is in one cache line.
	expiry int64     // nothing in the segment expires before this unix second; 0 is never
	gone   uint32    // 1: not in a queue, kept by pins
	rules  uint32    // number of flushes for which it was swept
	seq    uint64    // order of opening within the shard
	born   int64     // unix seconds
	older  arena.Loc // neighbours in the queue, 0 for none
	newer  arena.Loc
	stamp  uint64 // order of opening within the store
	check  uint64 // identifies a segment in a file
}

const (
	segmentFree = 0
	segmentUsed = 0x5e6d31ed
)

// segment returns the header at base.
func (p *pool) segment(base arena.Loc) *segment { return arena.At[segment](&p.Memory, base) }

type queue struct {
	oldest, newest arena.Loc
	bytes          int64
}

// link inserts a segment at the new end of a queue, or on the newer side of after.
func (sh *shard) link(base arena.Loc, q uint32, after arena.Loc) {
	g, qu := sh.pool.segment(base), &sh.queues[q]
	g.queue = q
	if after == 0 {
		after = qu.newest
	}
	g.older = after
	if after != 0 {
		g.newer = sh.pool.segment(after).newer
		sh.pool.segment(after).newer = base
	} else {
		g.newer = qu.oldest
		qu.oldest = base
	}
	if g.newer != 0 {
		sh.pool.segment(g.newer).older = base
	} else {
		qu.newest = base
	}
	qu.bytes += g.size
	sh.s.queued[q].Add(g.size)
	sh.publish()
}

func (sh *shard) unlink(base arena.Loc) {
	g := sh.pool.segment(base)
	qu := &sh.queues[g.queue]
	if g.older != 0 {
		sh.pool.segment(g.older).newer = g.newer
	} else {
		qu.oldest = g.newer
	}
	if g.newer != 0 {
		sh.pool.segment(g.newer).older = g.older
	} else {
		qu.newest = g.older
	}
	qu.bytes -= g.size
	sh.s.queued[g.queue].Add(-g.size)
	sh.publish()
}

// publish updates what other shards read of the queues and the number of items.
func (sh *shard) publish() {
	sh.items.Store(sh.total)
	for q := range sh.queues {
		stamp := ^uint64(0)
		if b := sh.queues[q].oldest; b != 0 {
			stamp = sh.pool.segment(b).stamp
		}
		sh.oldest[q].Store(stamp)
	}
}

// start initialises a segment of size bytes at base.
func (sh *shard) start(base arena.Loc, size int64) *segment {
	g := sh.pool.segment(base)
	sh.seq++
	*g = segment{
		shard: uint32(sh.id), end: segmentHeader, seq: sh.seq, cas: sh.cas + 1, born: sh.s.now(), size: size,
		rules: sh.flushes, stamp: sh.s.stamp.Add(1),
	}
	g.check = sh.s.seal(g, base)
	sh.cas += uint64(size/4) + 1
	atomic.StoreUint32(&g.state, segmentUsed)
	return g
}

// free takes a segment out of its queue and frees its memory, now or when the last
// pin is released.
func (sh *shard) free(base arena.Loc) {
	g := sh.pool.segment(base)
	for i := range sh.open {
		if sh.open[i] == base {
			sh.open[i] = 0
		}
	}
	sh.unlink(base)
	if b := &sh.leaving[g.queue]; b.base == base {
		sh.gone += b.gone
		*b = begun{}
	}
	sh.lose(-(int64(g.end) - segmentHeader - g.live))
	atomic.StoreUint32(&g.state, segmentFree)
	if g.pins > 0 {
		g.gone = 1
		return
	}
	sh.give(base, g.size)
}

func (sh *shard) give(base arena.Loc, size int64) {
	if base < sh.pool.Extents {
		sh.pool.GiveSegment(base)
	} else {
		sh.pool.GiveExtent(base, size)
	}
}

// place is room for a record behind the end of a segment.
type place struct {
	base arena.Loc
	off  int64
}

func (p place) loc() arena.Loc { return p.base + arena.Loc(p.off) }

// large reports whether a record of n bytes gets an extent.
func (sh *shard) large(n int) bool { return int64(n) > sh.pool.Seg/4 }

// room returns a place for n bytes in a stream. force exceeds the limit instead of
// making room.
func (sh *shard) room(stream int, n int, force bool) (place, bool) {
	if sh.large(n) {
		size := (int64(n) + segmentHeader + arena.Quantum - 1) / arena.Quantum * arena.Quantum
		for tries := 0; ; tries++ {
			if base := sh.pool.TakeExtent(size, force); base != 0 {
				sh.start(base, size)
				sh.link(base, uint32(stream%queues), 0)
				return place{base, segmentHeader}, true
			}
			if force || !sh.makeRoom(size, tries) {
				return place{}, false
			}
		}
	}
	for tries := 0; ; tries++ {
		if base := sh.open[stream]; base != 0 {
			if g := sh.pool.segment(base); int64(g.end)+int64(n) < g.size { // never its last byte, see record.decode
				return place{base, int64(g.end)}, true
			}
		}
		if base := sh.pool.TakeSegment(force); base != 0 {
			sh.took = true
			sh.start(base, sh.pool.Seg)
			after := arena.Loc(0)
			if stream >= queues {
				after = sh.sweeping
			}
			sh.link(base, uint32(stream%queues), after)
			old := sh.open[stream]
			if sh.open[stream] = base; stream == toSmall {
				sh.end.Store(int64(base))
			}
			if old != 0 {
				sh.reap(old)
			}
			return place{base, segmentHeader}, true
		}
		if force || !sh.makeRoom(sh.pool.Seg, tries) {
			return place{}, false
		}
	}
}

// reap frees a segment without items that is not appended to.
func (sh *shard) reap(base arena.Loc) {
	if base == sh.held || base == sh.swept {
		return
	}
	for _, o := range sh.open {
		if o == base {
			return
		}
	}
	if g := sh.pool.segment(base); g.items == 0 {
		sh.free(base)
	}
}

// commit makes n bytes written at a place part of their segment.
func (sh *shard) commit(p place, n int, expiry int64) {
	g := sh.pool.segment(p.base)
	g.live += int64(n)
	g.items++
	if expiry != 0 && expiry != maxExpiry && (g.expiry == 0 || expiry < g.expiry) {
		g.expiry = expiry
		sh.noteDue(expiry)
	}
	arena.Barrier()
	g.end = uint32(p.off) + uint32(n)
	sh.pool.PrefetchAppend(p.loc() + arena.Loc(n))
}

// drop marks a record as dead, and frees its segment if it was the last one there.
// The caller removes the slot.
func (sh *shard) drop(r *record) {
	base := sh.pool.Base(r.loc)
	g := sh.pool.segment(base)
	r.kill()
	g.live -= int64(len(r.b))
	g.items--
	sh.lose(int64(len(r.b)))
	sh.reap(base)
}

// maxUnshown bounds the difference between gone and dead. An atomic store waits for
// all earlier stores, which is too slow for every record.
func (p *pool) maxUnshown() int64 { return p.Seg / 64 }

// lose counts n more bytes of dead records.
func (sh *shard) lose(n int64) {
	sh.gone += n
	sh.lost += max(n, 0)
	if d := sh.gone - sh.shown; d > sh.pool.maxUnshown() || d < -sh.pool.maxUnshown() {
		sh.publishGone()
	}
}

// publishGone updates dead for the other shards.
func (sh *shard) publishGone() {
	sh.shown = sh.gone
	if sh.lost < sh.search {
		sh.dead.Store(0)
	} else {
		sh.dead.Store(sh.gone)
	}
}

// casOf returns the CAS value of a record.
func (sh *shard) casOf(r *record) uint64 {
	if sh.s.opts.DisableCAS {
		return 0
	}
	base := sh.pool.Base(r.loc)
	g := sh.pool.segment(base)
	w := int(r.shape() & shapeCAS >> 2)
	switch v := getN(r.b[r.cas:], int(casWidth[w])); w << 2 {
	case casImplied:
		return g.cas + uint64(r.loc-base)/4
	case casFull:
		return v
	default:
		return g.cas - v
	}
}

// carry sets the form in which a record that is moved to a stream keeps its CAS
// value. carried completes it when the place is known. The room is taken by force,
// so that at most one segment is opened in between.
func (sh *shard) carry(h *header, stream int, cas uint64) {
	h.shape &^= shapeCAS
	if sh.s.opts.DisableCAS {
		return
	}
	nearest := sh.cas + 1 // that of a segment opened now
	if base := sh.open[stream]; base != 0 {
		nearest = sh.pool.segment(base).cas
	}
	switch d := sh.cas + 1 - cas; {
	case cas > nearest:
		h.shape |= casFull
	case d < 1<<24:
		h.shape |= casNear
	case d < 1<<32:
		h.shape |= casFar
	default:
		h.shape |= casFull
	}
}

func (sh *shard) carried(h *header, p place, cas uint64) {
	switch h.shape & shapeCAS {
	case casFull:
		h.cas = cas
	case casNear, casFar:
		h.cas = sh.pool.segment(p.base).cas - cas
	}
}
