package store

import (
	"math"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// shard is a part of the store with its own lock, segments and index. Shards
// share the memory: one that needs room takes it from the shard with the oldest
// segment.
type shard struct {
	part
	_ [8]byte
}

// part is a shard without its padding to whole cache lines.
type part struct {
	// Written by every change, in one cache line: fetching a line from another core
	// costs more than the rest of a change.
	mu      sync.Mutex
	held    arena.Loc // segment of the record being replaced; the new value may be part of it
	gone    int64     // bytes of dead records
	shown   int64     // dead
	lost    int64     // bytes of all records that ever became dead
	cas     uint64
	changes uint64 // number of the last change, see announce
	stored  int32  // items of class last stored since settle
	last    int16
	took    bool // a segment was opened, or the index grew, since the last End
	_       [1]byte

	// Read by every look-up and seldom written.
	s        *Store
	pool     *pool
	flushAt  int64 // unix second of a pending FlushAll, 0 for none
	open     [streams]arena.Loc
	heard    bool // Store.Listen
	_        [7]byte
	prefixes []flush
	id       int
	index    index
	end      atomic.Int64 // segment that new items go to, or went to earlier
	_        [24]byte

	// Read by other shards without the lock.
	items  atomic.Int64          // total, when a segment was last opened or freed
	dead   atomic.Int64          // gone, to within maxUnshown; 0 while no segment is worth compacting
	due    atomic.Int64          // unix second from which a sweep finds something, 0 for never
	oldest [queues]atomic.Uint64 // stamp of the oldest segment
	wanted atomic.Int32          // goroutines that spin for the lock
	_      [64 - 5*8 - 4]byte

	search    int64 // until lost reaches it no segment is worth compacting
	flushes   uint32
	sweeping  arena.Loc // segment being compacted
	swept     arena.Loc // segment being swept, which is not freed meanwhile
	seq       uint64
	queues    [queues]queue
	ghost     ghost
	sparse    [16]begun // segments to compact next
	leaving   [queues]begun
	total     int64 // items
	moved     uint64
	promoted  uint64
	compacted uint64
	class     [Classes]ClassStats
}

// The methods of a shard are divided by their subject. Each of these types is a
// shard with the methods of one.
type (
	evictor struct{ *shard } // eviction and compaction
	sweeper struct{ *shard } // removal of expired and flushed items
	counter struct{ *shard } // statistics
	loader  struct{ *shard } // restart file
)

func (sh *shard) init(s *Store, id int) {
	sh.s, sh.pool, sh.id = s, &s.pool, id
	// CAS values are unique until a shard has written 64 GiB.
	sh.cas = sh.s.opts.CAS + uint64(id)<<34
	sh.publish()
	sh.index = s.indexes.of(id, sh.pool)
}

// maxSpins is how often a goroutine tries a lock before it sleeps. That is longer
// than a lock is usually held. Sleeping and waking takes several times as long.
const maxSpins = 2000

// wait takes a lock that is held.
func (sh *shard) wait() {
	if !sh.spin() {
		sh.mu.Lock()
	}
}

// spin takes a lock that is held, if it is released soon.
func (sh *shard) spin() bool {
	if !sh.s.spins {
		return false
	}
	sh.wanted.Add(1)
	defer sh.wanted.Add(-1)
	for range maxSpins {
		if arena.Pause(); sh.mu.TryLock() {
			return true
		}
	}
	return false
}

// lookup finds the slot of a key's record and decodes it into r. near is a guess.
// It returns nil if there is none.
func (sh *shard) lookup(h uint64, key []byte, r *record, near int) (*leaf, int) {
	l := sh.index.leaf(h)
	if len(l.slots) == 0 {
		return nil, 0
	}
	tag := tagOf(h)
	if uint(near) < uint(len(l.slots)) {
		if w := l.slots[near]; w>>tagShift == tag && w != 0 {
			loc := arena.Loc(w & locMask)
			if r.decode(sh.pool, loc); string(r.keyBytes()) == string(key) {
				return l, near
			}
		}
	}
	for i := l.home(tag); i < len(l.slots); i++ {
		w := l.slots[i]
		if w == 0 || w>>tagShift > tag {
			break
		}
		if w>>tagShift == tag && sh.matches(w, key, r) {
			return l, i
		}
	}
	return nil, 0
}

// matches decodes the record of a slot into r and reports whether it is the key's.
func (sh *shard) matches(word uint64, key []byte, r *record) bool {
	if word == 0 {
		return false
	}
	loc := arena.Loc(word & locMask)
	r.decode(sh.pool, loc)
	return string(r.keyBytes()) == string(key)
}

// slotOf finds the slot of the record at loc. near is a guess.
func (sh *shard) slotOf(h uint64, loc arena.Loc, near int) (*leaf, int) {
	l := sh.index.leaf(h)
	tag := tagOf(h)
	want := tag<<locBits + uint64(loc) // the word without its use count
	if uint(near) < uint(len(l.slots)) && bare(l.slots[near]) == want {
		return l, near
	}
	for i := l.home(tag); i < len(l.slots); i++ {
		if bare(l.slots[i]) == want {
			return l, i
		}
	}
	panic("store: record without a slot")
}

// bare returns a slot without its use count.
func bare(word uint64) uint64 { return word>>tagShift<<locBits + word&locMask }

func freqOf(word uint64) uint64 { return word >> locBits & freqMax }

// remove removes an item: its slot, then its record.
func (sh *shard) remove(l *leaf, i int, r *record) {
	l.remove(i)
	counter{sh}.uncount(r)
	sh.drop(r)
}

// count adds an item to the statistics.
func (sh counter) count(r *record) { sh.countSize(sh.sizeOf(r), sh.queueOf(r), 1) }

func (sh counter) uncount(r *record) { sh.countSize(sh.sizeOf(r), sh.queueOf(r), -1) }

func (sh counter) countSize(size int, queue uint32, n int64) {
	c := &sh.class[ClassOf(size)-1]
	c.Items += n
	c.Bytes += int64(size) * n
	if queue == small {
		c.Small += n
	}
	sh.total += n
}

// tally counts an item stored for the class at index i.
func (sh counter) tally(i int16) {
	if i != sh.last || sh.stored == math.MaxInt32 {
		sh.settle()
		sh.last = i
	}
	sh.stored++
}

// settle adds what tally counted to the statistics.
func (sh counter) settle() {
	sh.class[sh.last].TotalItems += uint64(sh.stored)
	sh.stored = 0
}

// recount replaces an item of another size in the statistics.
func (sh counter) recount(was int, queue uint32, r *record) {
	size := sh.sizeOf(r)
	if class := ClassOf(size); class == ClassOf(was) && sh.queueOf(r) == queue {
		if size != was {
			sh.class[class-1].Bytes += int64(size - was)
		}
		return
	}
	sh.countSize(was, queue, -1)
	sh.count(r)
}

func (sh *shard) queueOf(r *record) uint32 { return sh.pool.segment(sh.pool.Base(r.loc)).queue }

func (sh *shard) nextCAS() uint64 {
	if sh.s.opts.DisableCAS {
		return 0
	}
	sh.cas++
	return sh.cas
}

func (sh *shard) sizeOf(r *record) int {
	return ItemSize(r.keyLen(), r.valueLen(), r.flagBits(), !sh.s.opts.DisableCAS)
}

func (sh *shard) classOf(r *record) *ClassStats { return &sh.class[ClassOf(sh.sizeOf(r))-1] }

func (sh *shard) item(r *record) Item {
	size := sh.sizeOf(r)
	return Item{
		Key: r.keyBytes(), Flags: r.flagBits(), CAS: sh.casOf(r), Expiry: r.expiry(), LastAccess: r.access(sh.s.now()),
		Fetched: r.fetched(), Size: size, ValueSize: len(r.valueBytes()), Class: ClassOf(size),
	}
}

// plain reports whether an item is visible at any time.
func (sh *shard) plain(r *record) bool { return r.shape()&shapeExpiry == 0 && len(sh.prefixes) == 0 }

// visible returns Absent if an item is visible, else why it is not.
func (sh *shard) visible(r *record, now int64) Miss {
	if sh.plain(r) {
		return Absent
	}
	if len(sh.prefixes) > 0 && sh.flushed(r) {
		return Flushed
	}
	if e := r.expiry(); e != 0 && e <= now {
		return Expired
	}
	return Absent
}

// cursor iterates over the records of a segment that are not dead. The current
// item may be removed, which may free the segment.
type cursor struct {
	record
	sh   *shard
	base arena.Loc
	off  int64
	left int32
	end  int64 // next stops at this offset, 0 for the end
}

func (sh *shard) walk(base arena.Loc) cursor {
	return cursor{sh: sh, base: base, off: segmentHeader, left: sh.pool.segment(base).items}
}

func (c *cursor) next() bool {
	for c.left > 0 && (c.end == 0 || c.off < c.end) {
		loc := c.base + arena.Loc(c.off)
		c.decode(c.sh.pool, loc)
		c.off += int64(len(c.b))
		if !c.dead() {
			c.left--
			return true
		}
	}
	return false
}
