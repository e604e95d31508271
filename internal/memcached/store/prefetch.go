package store

import (
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// Ahead is a key whose turn comes soon. A look-up waits for memory twice, for its place in the index and for the record found
// there, and that is most of what it takes. Who knows several keys beforehand saves the waiting: Ahead for each of them, then
// Expect for each, and then, before all that is pushed out of the processor's caches, BeginAhead for each. It changes nothing
// but the time.
type Ahead struct {
	Key  []byte // of 1 to MaxKey bytes
	hash uint64
	at   int // slot in the leaf where the item may be, 0 is not known
}

// Ahead starts to fetch what the index says of a key, which it keeps in a.
func (s *Store) Ahead(a *Ahead, key []byte) {
	h := s.hash.sum(key)
	a.Key, a.hash, a.at = key, h, 0
	if arena.Prefetches {
		sh := s.shardOf(h)
		x := &sh.index
		i := x.leafOf(h)
		arena.PrefetchSlot(arena.At[uint64](&x.mem, x.base(i)+arena.Loc(x.leaves[i].homeNow(tagOf(h)))*8), &sh.gone)
	}
}

// Expect starts to fetch the item.
func (s *Store) Expect(a *Ahead) {
	if arena.Prefetches {
		sh := s.shardOf(a.hash)
		if loc := sh.index.peek(a); loc != 0 {
			sh.pool.PrefetchRecord(loc)
		}
	}
}

// ExpectChange is Expect for an item that is about to be replaced or removed.
func (s *Store) ExpectChange(a *Ahead) {
	if arena.Prefetches {
		sh := s.shardOf(a.hash)
		if loc := sh.index.peek(a); loc != 0 {
			sh.pool.PrefetchChange(loc, sh.pool.Base(loc), arena.Loc(sh.end.Load()))
		}
	}
}

// BeginAhead is Begin for a key that was looked at ahead.
func (s *Store) BeginAhead(a *Ahead) (t Txn) {
	s.BeginIn(&t, a)
	return t
}

// BeginIn is BeginAhead with t, a zero Txn, where the caller wants it: copying a Txn takes longer than making one.
func (s *Store) BeginIn(t *Txn, a *Ahead) {
	sh := s.shardOf(a.hash)
	sh.lock()
	t.sh, t.key, t.hash, t.at = sh, a.Key, a.hash, a.at
}

// peek guesses the location of a key's record, 0 for none, without the hold on the shard: the words may be changing. The
// addresses they are read from stay good for as long as the store is open.
func (x *index) peek(a *Ahead) arena.Loc {
	i := x.leafOf(a.hash)
	l := &x.leaves[i]
	tag := tagOf(a.hash)
	base := x.base(i)
	home := l.homeNow(tag)
	for j := home; j < home+peekSlots; j++ {
		w := atomic.LoadUint64(arena.At[uint64](&x.mem, base+arena.Loc(j)*8))
		if w == 0 || w>>tagShift > tag {
			break
		}
		if w>>tagShift == tag {
			a.at = j
			return arena.Loc(w & locMask)
		}
	}
	return 0
}

// peekSlots bounds how far peek looks. What is pushed farther from its home is found a little later.
const peekSlots = 32

// homeNow is home for those without the hold on the shard.
func (l *leaf) homeNow(tag uint64) int { return int(tag * l.places.Load() >> tagBits) }
