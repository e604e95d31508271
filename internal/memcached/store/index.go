package store

import (
	"fmt"
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// A slot of an index is one word: the location of a record, a count of its recent
// uses, and a tag from the key's hash. Slots are ordered by tag, each at or after
// the place that its tag has in an even spread. So a search ends at a larger tag,
// and a leaf is resized without reading records. A location has 42 bits, which is
// 4 TiB. The 20 bits of the tag leave a look-up one needless read of a record in
// 150.
const (
	locBits  = 42
	freqBits = 2
	tagShift = locBits + freqBits
	tagBits  = 64 - tagShift
	locMask  = 1<<locBits - 1
	freqMax  = 1<<freqBits - 1
	freqOne  = 1 << locBits
)

// leafItems is the number of items of a leaf when the memory is full of items of
// typicalItem bytes.
//
// From 168 GiB on leaves are larger instead of more, so that the lists of them stay
// in the processor's caches: a look-up in 48 reads a record needlessly at 512 GiB,
// one in 24 at 1 TiB.
const (
	leafItems   = 7000
	maxLeaves   = 1 << 16 // of all shards
	typicalItem = 384
	leafStep    = arena.Page / 8 // least number of slots by which a leaf grows
	firstSlots  = 128            // number of slots of a leaf with its first items
	endSlots    = 64             // slots after those that tags map to; they take what is pushed beyond the end
)

// index finds records by hash. It is an array of leaves. Each grows alone and by a
// sixteenth, so that the index is never much larger than its content and an
// insertion moves at most one leaf.
type index struct {
	pool   *pool
	all    *indexes
	first  int // of leaves in all
	leaves []leaf
	bytes  int64
	_      [8]byte
}

type leaf struct {
	slots []uint64
	n     int
}

// indexes is the memory of the indexes of all shards. Each leaf has addresses for
// all that it may grow to. Its first items are in a table of firstSlots slots for
// each leaf: a large cache with few items would otherwise have a page, and a page
// of the page table, for each leaf with an item. Its fields do not change, so they
// can be read without a lock.
type indexes struct {
	mem    arena.Memory
	stride int64  // bytes of address space of a leaf
	first  int64  // where the table of the first slots is, after the leaves
	each   uint64 // leaves of a shard
	shift  uint   // a hash shifted right by it is the number of the shard
	leaves []leaf
	places []atomic.Uint64 // spread of each leaf, for readers without the lock
}

// init reserves the indexes of shards that have limit bytes of memory each, and
// most after the limit has been raised as far as it can be.
func (x *indexes) init(shards int, limit, most int64) error {
	x.shift = shardShift(shards)
	n := max(1, min((limit/typicalItem+leafItems-1)/leafItems, maxLeaves/int64(shards)))
	// A leaf has room for its part of a memory full of the smallest items.
	x.stride = (most/16/n*8*5/4 + 64*arena.Page) / arena.Page * arena.Page
	all := int64(shards) * n
	x.first = x.stride * all
	size := (x.first + all*firstSlots*8 + arena.Page - 1) / arena.Page * arena.Page
	var err error
	if x.mem, err = arena.Reserve(size); err != nil {
		return fmt.Errorf("store: reserving %d bytes of addresses: %w", size, err)
	}
	x.mem.SmallPages(0, x.first)
	x.mem.HugePages(arena.Loc(x.first), size-x.first)
	x.each, x.leaves, x.places = uint64(n), make([]leaf, all), make([]atomic.Uint64, all)
	return nil
}

// of returns the index of shard i.
func (x *indexes) of(i int, p *pool) index {
	from, to := i*int(x.each), (i+1)*int(x.each)
	return index{pool: p, all: x, first: from, leaves: x.leaves[from:to:to]}
}

func (x *indexes) close() error {
	if x.mem.Size() == 0 {
		return nil
	}
	return x.mem.Release()
}

func (x *index) leaf(h uint64) *leaf { return &x.leaves[leafOf(h, uint64(len(x.leaves)))] }

// leafOf returns the number of the leaf of a hash among n.
func leafOf(h, n uint64) uint64 { return (h >> tagBits & (1<<32 - 1)) * n >> 32 }

// base returns where the slots of leaf i are in mem when it has this spread.
func (x *indexes) base(i, spread uint64) arena.Loc {
	if spread <= firstSlots-endSlots {
		return arena.Loc(x.first + int64(i)*firstSlots*8)
	}
	return arena.Loc(int64(i) * x.stride)
}

func tagOf(h uint64) uint64 { return h & (1<<tagBits - 1) }

// spread is the number of places that tags map to.
func (l *leaf) spread() uint64 { return uint64(len(l.slots) - endSlots) }

func (l *leaf) home(tag uint64) int { return int(tag * l.spread() >> tagBits) }

// start returns a place at or before the slots of a tag and larger ones.
func (l *leaf) start(tag uint64) int {
	if len(l.slots) == 0 {
		return 0
	}
	return l.home(tag)
}

// insert adds a slot for h. It returns false if the leaf has no more addresses.
func (x *index) insert(h uint64, word uint64) bool {
	at := leafOf(h, uint64(len(x.leaves)))
	l := &x.leaves[at]
	tag := tagOf(h)
	word |= tag << tagShift
	for {
		if l.n*32 < (len(l.slots)-endSlots)*30 {
			i := l.home(tag)
			for l.slots[i] != 0 && l.slots[i]>>tagShift <= tag {
				i++
				if i == len(l.slots) {
					break
				}
			}
			j := i
			for j < len(l.slots) && l.slots[j] != 0 {
				j++
			}
			if j < len(l.slots) {
				copy(l.slots[i+1:j+1], l.slots[i:j])
				l.slots[i] = word
				l.n++
				return true
			}
		}
		n := firstSlots
		if len(l.slots) > 0 {
			n = len(l.slots)/leafStep*leafStep + max(1, len(l.slots)/leafStep/16)*leafStep
		}
		if !x.resize(int(at), n) {
			return false
		}
	}
}

// remove removes the slot at i and closes the gap.
func (l *leaf) remove(i int) {
	j := i + 1
	for j < len(l.slots) && l.slots[j] != 0 && l.home(l.slots[j]>>tagShift) < j {
		j++
	}
	copy(l.slots[i:j-1], l.slots[i+1:j])
	l.slots[j-1] = 0
	l.n--
}

// resize gives leaf i n slots or a few more.
func (x *index) resize(i, n int) bool {
	l := &x.leaves[i]
	all := x.all
	base := all.base(uint64(x.first+i), uint64(n-endSlots))
	old := len(l.slots)
	if n < old { // move the words to the front before the end is cut off
		k := 0
		for j, w := range l.slots {
			if w != 0 {
				l.slots[j] = 0
				l.slots[k] = w
				k++
			}
		}
	}
	for {
		if int64(n)*8 > all.stride || all.mem.Commit(base, int64(n)*8) != nil {
			return false
		}
		slots := arena.Slice[uint64](&all.mem, base, n)
		if old == firstSlots && len(l.slots) == old {
			copy(slots, l.slots)
			clear(l.slots)
		}
		l.slots = slots
		if l.respread() {
			break
		}
		n += leafStep
	}
	all.places[x.first+i].Store(l.spread())
	if n < old {
		all.mem.Decommit(base+arena.Loc(n)*8, int64(old-n)*8)
	}
	d := int64(n-old) * 8
	x.bytes += d
	x.pool.Charge(d)
	return true
}

// respread moves every word to its place. All words first go to the end, out of
// the way. It returns false if words at the end do not fit; the words are then in
// order but not all in their places.
func (l *leaf) respread() bool {
	w := len(l.slots)
	for r := len(l.slots) - 1; r >= 0; r-- {
		if x := l.slots[r]; x != 0 {
			w--
			l.slots[r] = 0
			l.slots[w] = x
		}
	}
	at := 0
	for ; w < len(l.slots); w++ {
		x := l.slots[w]
		at = max(at, l.home(x>>tagShift))
		if at > w {
			return false
		}
		l.slots[w] = 0
		l.slots[at] = x
		at++
	}
	return true
}

// trim shrinks leaf i if it is mostly empty.
func (x *index) trim(i int) {
	l := &x.leaves[i]
	if want := (l.n*8/6/leafStep + 1) * leafStep; want < len(l.slots)/2 {
		x.resize(i, want)
	}
}
