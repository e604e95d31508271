package store

import (
	"sync/atomic"
	"unsafe"
)

// A look-up waits for memory twice, for its place in the index and for the record found there, and that is most of what it
// takes. Who knows several keys beforehand saves the waiting: Hash and Expect for each of them, then ExpectItem for each, and
// then, before they are pushed out of the processor's caches, BeginHash for each. It changes nothing but the time.

// Hash returns what Expect, ExpectItem and BeginHash want to know of a key. It is another in every store.
func (s *Store) Hash(key []byte) uint64 { return s.hash.sum(key) }

// Expect starts to fetch what the index says of a key.
func (s *Store) Expect(h uint64) {
	if !prefetches {
		return
	}
	x := &s.shardOf(h).index
	i := x.leafOf(h)
	p := unsafe.Add(x.base, int64(i)*x.stride+int64(x.leaves[i].homeNow(tagOf(h)))*8)
	prefetch(p)
}

// ExpectItem starts to fetch the item of a key whose part of the index was expected some time ago.
func (s *Store) ExpectItem(h uint64) {
	if !prefetches {
		return
	}
	sh := s.shardOf(h)
	if loc := sh.index.peek(h); loc != 0 {
		prefetchRecord(sh.pool.at(loc))
	}
}

// ExpectChange is ExpectItem for an item that is about to be replaced or removed.
func (s *Store) ExpectChange(h uint64) {
	if !prefetches {
		return
	}
	sh := s.shardOf(h)
	if loc := sh.index.peek(h); loc != 0 {
		prefetchRecord(sh.pool.at(loc))
		prefetch(sh.pool.at(sh.pool.baseOf(loc)))
	}
}

// peek guesses the location of a key's record, 0 for none, without the hold on the shard: the words may be changing. The
// addresses they are read from stay good for as long as the store is open.
func (x *index) peek(h uint64) int64 {
	i := x.leafOf(h)
	l := &x.leaves[i]
	tag := tagOf(h)
	p := unsafe.Add(x.base, int64(i)*x.stride)
	home := l.homeNow(tag)
	for j := home; j < home+peekSlots; j++ {
		w := atomic.LoadUint64((*uint64)(unsafe.Add(p, j*8)))
		if w == 0 || w>>tagShift > tag {
			break
		}
		if w>>tagShift == tag {
			return int64(w & locMask)
		}
	}
	return 0
}

// peekSlots bounds how far peek looks. What is pushed farther from its home is found a little later.
const peekSlots = 32

// homeNow is home for those without the hold on the shard.
func (l *leaf) homeNow(tag uint64) int { return int(tag * l.places.Load() >> tagBits) }
