package store

import (
	"math"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// shard is a part of the store with a lock of its own. Shards share the memory: each has its own segments, and one that needs
// room takes it where the oldest segment of all is.
type shard struct {
	part
	_ [8]byte
}

// part is a shard but for the bytes to the end of its last line of the processor's cache.
type part struct {
	// What every change writes to, in one line of the processor's cache: it costs more to get one from another core than all that
	// is done with it.
	mu     sync.Mutex
	held   arena.Loc // segment that must stay while a record is replaced: the new value may be part of it
	gone   int64     // bytes of records that are gone
	shown  int64     // dead
	lost   int64     // bytes of all records that ever went
	cas    uint64
	stored int32 // items of class last that were stored since they were counted
	last   int32
	opened bool // a segment was, since the last End
	_      [7]byte

	// What every look-up reads and little writes to, in two lines.
	s        *Store
	pool     *pool
	flushAt  int64 // unix second of a FlushAll to come, 0 for none
	open     [streams]arena.Loc
	_        [8]byte
	prefixes []flush
	id       int
	index    index
	end      atomic.Int64 // segment that new items go to, or once went to
	_        [24]byte

	// What other shards look at without the lock.
	items  atomic.Int64          // total, as of when a segment was last opened or freed
	dead   atomic.Int64          // gone, within unshown; 0 while no segment is worth compacting
	due    atomic.Int64          // unix second from which a sweep would find something, 0 for never
	oldest [queues]atomic.Uint64 // stamp of the oldest segment
	wanted atomic.Int32          // goroutines that wait for the lock
	_      [64 - 5*8 - 4]byte

	search    int64 // of lost: until then no segment is worth compacting
	flushes   uint32
	sweeping  arena.Loc // segment being compacted
	swept     arena.Loc // segment being swept, which stays until that is done
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

func (sh *shard) init(s *Store, id int, limit, most int64) error {
	sh.s, sh.pool, sh.id = s, &s.pool, id
	// No two items have the same CAS value until a shard has written 64 GiB. load adds more than all the shards are apart.
	sh.cas = uint64(id) << 34
	sh.publish()
	return sh.index.init(sh.pool, limit, most)
}

// looks is how often a goroutine looks whether a shard is free before it goes to sleep: for longer than what is done under the
// lock takes as a rule. To sleep and be woken takes several times as long.
const looks = 2000

// wait takes the lock that another goroutine has.
func (sh *shard) wait() {
	if !sh.watch() {
		sh.mu.Lock()
	}
}

// watch takes the lock that another goroutine has if that gives it up soon.
func (sh *shard) watch() bool {
	if !sh.s.spins {
		return false
	}
	sh.wanted.Add(1)
	defer sh.wanted.Add(-1)
	for range looks {
		if arena.Pause(); sh.mu.TryLock() {
			return true
		}
	}
	return false
}

// lookup finds the slot of a key's record, near is where it may be, or anything.
func (sh *shard) lookup(h uint64, key []byte, r *record, near int) (*leaf, int) {
	l := sh.index.leaf(h)
	if len(l.slots) == 0 {
		return nil, 0
	}
	tag := tagOf(h)
	if uint(near) < uint(len(l.slots)) {
		if w := l.slots[near]; w>>tagShift == tag && w != 0 {
			loc := arena.Loc(w & locMask)
			if r.decode(&sh.pool.Memory, loc); string(r.keyBytes()) == string(key) {
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

// matches decodes the record of a slot's word into r and tells whether it is the key's.
func (sh *shard) matches(word uint64, key []byte, r *record) bool {
	if word == 0 {
		return false
	}
	loc := arena.Loc(word & locMask)
	r.decode(&sh.pool.Memory, loc)
	return string(r.keyBytes()) == string(key)
}

// slotOf finds the slot of the record at loc, near is where it may be, or anything.
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

// bare is a word without its use count.
func bare(word uint64) uint64 { return word>>tagShift<<locBits + word&locMask }

func freqOf(word uint64) uint64 { return word >> locBits & freqMax }

// remove takes an item out: its slot, then its record.
func (sh *shard) remove(l *leaf, i int, r *record) {
	l.remove(i)
	sh.uncount(r)
	sh.drop(r)
}

// count adds an item to the figures by class.
func (sh *shard) count(r *record) { sh.countSize(sh.sizeOf(r), sh.queueOf(r), 1) }

func (sh *shard) uncount(r *record) { sh.countSize(sh.sizeOf(r), sh.queueOf(r), -1) }

func (sh *shard) countSize(size int, queue uint32, n int64) {
	c := &sh.class[ClassOf(size)-1]
	c.Items += n
	c.Bytes += int64(size) * n
	if queue == small {
		c.Probation += n
	}
	sh.total += n
}

// tally counts an item stored for the class at index i.
func (sh *shard) tally(i int32) {
	if i != sh.last || sh.stored == math.MaxInt32 {
		sh.settle()
		sh.last = i
	}
	sh.stored++
}

// settle adds what tally counted to the figures.
func (sh *shard) settle() {
	sh.class[sh.last].TotalItems += uint64(sh.stored)
	sh.stored = 0
}

// recount counts an item instead of one of another size that was in a queue.
func (sh *shard) recount(was int, queue uint32, r *record) {
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

// plain tells that an item is visible without asking what time it is.
func (sh *shard) plain(r *record) bool { return r.shape()&shapeExpiry == 0 && len(sh.prefixes) == 0 }

// visible tells whether an item may still be seen, and if not, why.
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

// cursor goes through the records of a segment whose items are not gone. The item it is at may be removed, and the segment be
// freed by that.
type cursor struct {
	record
	sh   *shard
	base arena.Loc
	off  int64
	left int32
	end  int64 // next stops before records from here on, 0 for nowhere
}

func (sh *shard) walk(base arena.Loc) cursor {
	return cursor{sh: sh, base: base, off: segmentHeader, left: sh.pool.segment(base).items}
}

func (c *cursor) next() bool {
	for c.left > 0 && (c.end == 0 || c.off < c.end) {
		loc := c.base + arena.Loc(c.off)
		c.decode(&c.sh.pool.Memory, loc)
		c.off += int64(len(c.b))
		if !c.dead() {
			c.left--
			return true
		}
	}
	return false
}
