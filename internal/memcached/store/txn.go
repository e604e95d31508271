package store

import (
	"encoding/binary"

	"lintel.dev/internal/memcached/arena"
)

// Miss says why Txn.Find returned false.
type Miss uint8

const (
	Absent  Miss = iota // there is no such item
	Expired             // it has expired, and was removed
	Flushed             // FlushAll or FlushPrefix covers it, and it was removed
)

// Record is what Txn.Put stores.
type Record struct {
	Flags  uint32
	Expiry int64  // unix seconds, 0 is never
	CAS    uint64 // 0 is the next value
	Stale  bool
	Won    bool
	Parts  [2][]byte // the value is their concatenation; they may be part of what Txn.Value returned
}

// Txn holds the lock of a key's shard from Store.Begin to End. It is used by one
// goroutine, which makes no other call to the store in between. Methods that
// describe the item are called after Find returned true or Put succeeded, and not
// after Delete.
type Txn struct {
	sh   *shard
	key  []byte
	hash uint64
	leaf *leaf // of the record found, nil for none
	at   int   // its slot; without leaf, a guess
	r    record
	miss Miss
	// change is what the transaction did to the key: its last change of the item,
	// or Touched if only the expiry time changed.
	change Change
}

// Begin locks the key's shard. The key, of 1 to MaxKey bytes, must not change until
// End.
func (s *Store) Begin(key []byte) Txn {
	h := s.hash.sum(key)
	sh := s.shardOf(h)
	sh.lock()
	return Txn{sh: sh, key: key, hash: h}
}

// End unlocks the shard. If the transaction changed the item, it numbers the change
// before and passes it to Hooks.Change. The Txn must not be used afterwards.
func (t *Txn) End() {
	if t.change != Unchanged {
		t.sh.announce(t.change, t.key)
	}
	if t.sh.took {
		t.sh.took = false
		t.sh.mu.Unlock()
		t.sh.s.keepRoom()
		return
	}
	t.sh.mu.Unlock()
}

// Find looks for the live item of the key. If it returns false, Missed says why.
func (t *Txn) Find() bool {
	t.leaf, t.at = t.sh.lookup(t.hash, t.key, &t.r, t.at)
	if t.leaf == nil {
		return false
	}
	return t.sh.plain(&t.r) || t.current()
}

// current removes the item found unless it is visible.
func (t *Txn) current() bool {
	m := t.sh.visible(&t.r, t.sh.s.now())
	if m != Absent {
		t.Discard()
		t.miss = m
	}
	return m == Absent
}

// Missed returns why Find returned false.
func (t *Txn) Missed() Miss { return t.miss }

// Value returns the item's value. It is valid until End or the next change of the
// item, and must not be written to.
func (t *Txn) Value() []byte { return t.r.valueBytes() }

// Flags returns the client's flags.
func (t *Txn) Flags() uint32 { return t.r.flagBits() }

// CAS returns the item's CAS value, 0 with Options.DisableCAS. It changes with every
// change of the value.
func (t *Txn) CAS() uint64 { return t.sh.casOf(&t.r) }

// Expiry returns the unix second at which the item expires, 0 for never.
func (t *Txn) Expiry() int64 { return t.r.expiry() }

// LastAccess returns the unix second in which the item was stored, touched or last
// counted by Bump. If that is more than 97 days ago, the result is too large by a
// multiple of 97 days.
func (t *Txn) LastAccess() int64 { return t.r.access(t.sh.s.now()) }

// Fetched reports whether Bump was called since the item was stored.
func (t *Txn) Fetched() bool { return t.r.fetched() }

// Stale returns the mark set by SetMarks or Put.
func (t *Txn) Stale() bool { return t.r.shape()&shapeStale != 0 }

// Won returns the mark set by SetMarks or Put.
func (t *Txn) Won() bool { return t.r.shape()&shapeWon != 0 }

// Size returns what ItemSize counts for the item.
func (t *Txn) Size() int { return t.sh.sizeOf(&t.r) }

// Bump counts an access: the item is fetched, its last access is now, and it is less
// likely to be evicted.
func (t *Txn) Bump() {
	if w := t.leaf.slots[t.at]; freqOf(w) < freqMax {
		t.leaf.slots[t.at] = w + freqOne
	}
	t.r.setAccess(t.sh.s.now(), true)
}

// warmEvery is how old the last access must be, in seconds, for Warm to renew it.
const warmEvery = 60

// Warm is Bump for a use that is not a read by a client: it does not mark the item
// as fetched, and sets its last access only if that was more than a minute ago.
func (t *Txn) Warm() {
	now := t.sh.s.now()
	at, fetched := t.r.access(now), t.r.fetched()
	t.Bump()
	if now-at > warmEvery {
		at = now
	}
	t.r.setAccess(at, fetched)
}

// SetExpiry sets the unix second at which the item expires, 0 for never. The CAS
// value stays. The last access is now.
func (t *Txn) SetExpiry(unix int64) {
	now := t.sh.s.now()
	unix = min(unix, maxExpiry)
	if t.change == Unchanged && unix != t.r.expiry() {
		t.change = Touched
	}
	if t.r.shape()&shapeExpiry == 0 {
		if unix != 0 {
			t.replace(func(h *header) {
				h.shape |= shapeExpiry
				h.expiry, h.access = unix, now
			}, t.r.valueBytes())
			return
		}
		t.r.setAccess(now, t.r.fetched())
		return
	}
	if unix == 0 {
		unix = maxExpiry // of which Expiry makes 0 again
	}
	t.r.frozen(t.sh.pool, func() { putN(t.r.b[t.r.exp:], uint64(unix), 5) })
	t.r.setAccess(now, t.r.fetched())
	g := t.sh.pool.segment(t.sh.pool.Base(t.r.loc))
	if unix != maxExpiry && (g.expiry == 0 || unix < g.expiry) {
		g.expiry = unix
		t.sh.noteDue(unix)
	}
}

// SetMarks sets the two marks of leases. The CAS value stays.
func (t *Txn) SetMarks(stale, won bool) {
	shape := t.r.shape()&^(shapeStale|shapeWon) | marks(stale, won)
	if (shape^t.r.shape())&shapeStale != 0 {
		t.change = Changed
	}
	if t.sh.pool.sums == 0 {
		t.r.b[1] = shape
		return
	}
	t.r.frozen(t.sh.pool, func() { t.r.b[1] = shape })
}

func marks(stale, won bool) (shape byte) {
	if stale {
		shape |= shapeStale
	}
	if won {
		shape |= shapeWon
	}
	return shape
}

// SetCAS sets the CAS value. 0 means the next value.
func (t *Txn) SetCAS(cas uint64) {
	if t.sh.s.opts.DisableCAS {
		return
	}
	if cas == 0 {
		cas = t.sh.nextCAS()
	}
	t.change = Changed
	if t.r.shape()&shapeCAS != casFull {
		t.replace(func(h *header) { h.cas = cas }, t.r.valueBytes())
		return
	}
	t.r.frozen(t.sh.pool, func() { binary.LittleEndian.PutUint64(t.r.b[t.r.cas:], cas) })
}

// Overwrite sets the value to v, which has the same length and may be part of what
// Value returned. It returns the new CAS value. All else stays. The bytes of a
// pinned value are not changed: the item gets new ones.
func (t *Txn) Overwrite(v []byte) (cas uint64) {
	t.change = Changed
	base := t.sh.pool.Base(t.r.loc)
	cas = t.sh.nextCAS()
	// The first change writes a record with the CAS value in full. Later ones change
	// that in place.
	inPlace := t.sh.s.opts.DisableCAS || t.r.shape()&shapeCAS == casFull
	if !inPlace || t.sh.pool.segment(base).pins > 0 {
		t.replace(func(h *header) { h.cas = cas }, v)
		return t.CAS()
	}
	t.r.frozen(t.sh.pool, func() {
		copy(t.r.valueBytes(), v)
		if !t.sh.s.opts.DisableCAS {
			binary.LittleEndian.PutUint64(t.r.b[t.r.cas:], cas)
		}
	})
	return cas
}

// Delete removes the item found.
func (t *Txn) Delete() {
	t.Discard()
	t.change = Deleted
}

// Discard removes the item found without announcing it, like an eviction. It is for
// items that are expired, or covered by a flush that is announced.
func (t *Txn) Discard() {
	if t.leaf == nil {
		return // a failed Put has removed it
	}
	t.sh.remove(t.leaf, t.at, &t.r)
	t.leaf, t.r, t.miss = nil, record{}, Absent
}

// Pin returns the value and a release function, which must be called. Until then
// the bytes do not change and count as used memory, even if the item is removed.
// Any goroutine may call release, but not between Begin and End. Values of up to a
// quarter of a segment are copied.
func (t *Txn) Pin() (value []byte, release func()) {
	base := t.sh.pool.Base(t.r.loc)
	if base < t.sh.pool.Extents {
		return append([]byte(nil), t.r.valueBytes()...), func() {}
	}
	sh, g := t.sh, t.sh.pool.segment(base)
	g.pins++
	return t.r.valueBytes(), func() {
		sh.lock()
		defer sh.mu.Unlock()
		if g.pins--; g.pins == 0 && g.gone != 0 {
			sh.give(base, g.size)
		}
	}
}

// replace writes a new record for the item found, with a header modified by
// change and the CAS value in full. It exceeds the limit if it must, since its
// callers cannot fail: it leaves about as many dead bytes behind.
func (t *Txn) replace(change func(h *header), value []byte) {
	h := header{
		shape: t.r.shape() &^ (shapeLen | shapeCAS), fetch: t.r.fetched(), expiry: t.r.expiry(), flags: t.r.flagBits(),
		access: t.r.access(t.sh.s.now()), cas: t.CAS(), sum: t.sh.pool.sums,
	}
	if !t.sh.s.opts.DisableCAS {
		h.shape |= casFull
	}
	change(&h)
	queue := int(t.sh.pool.segment(t.sh.pool.Base(t.r.loc)).queue)
	if parts := [2][]byte{value}; t.write(&h, queue, parts, false) != nil {
		_ = t.write(&h, queue, parts, true) // without address space the item stays what it is
	}
}

// crowds reports whether the item found takes so much of the memory that a new
// value beside it would evict others needlessly, and is not part of that value.
func (t *Txn) crowds(value [2][]byte) bool {
	limit := t.sh.pool.Limit()
	n := int64(len(value[0]) + len(value[1]))
	if t.leaf == nil || int64(len(t.r.b)) < limit/4 || t.sh.pool.Fits(n) || n > limit-limit/4 {
		return false
	}
	for _, v := range value {
		if arena.StartsIn(v, t.r.b) {
			return false
		}
	}
	return true
}

// Put stores an item under the key, in place of the present one, and returns its
// CAS value. It returns ErrTooLarge or ErrNoMemory. The present item then stays,
// unless it takes more than a quarter of the memory.
func (t *Txn) Put(rec Record) (cas uint64, err error) {
	sh := t.sh
	n := len(rec.Parts[0]) + len(rec.Parts[1])
	size := ItemSize(len(t.key), n, rec.Flags, !sh.s.opts.DisableCAS)
	if size > sh.s.opts.MaxItemSize {
		return 0, ErrTooLarge
	}
	h := header{shape: marks(rec.Stale, rec.Won), expiry: min(rec.Expiry, maxExpiry), flags: rec.Flags, access: sh.s.now(), sum: sh.pool.sums}
	if rec.Flags != 0 {
		h.shape |= shapeFlags
	}
	if rec.Expiry != 0 {
		h.shape |= shapeExpiry
	}
	queue := small
	if t.leaf == nil && t.miss == Absent {
		t.Find()
	}
	class := ClassOf(size) - 1
	if t.miss != Absent {
		sh.class[class].Reclaimed++ // its room is used for the new item
		t.miss = Absent
	}
	var old uint64
	if t.leaf != nil {
		queue = int(sh.pool.segment(sh.pool.Base(t.r.loc)).queue)
		old = t.CAS()
	} else if sh.ghost.take(t.hash) {
		queue = main
	}
	if !sh.s.opts.DisableCAS {
		if rec.CAS != 0 {
			h.shape |= casFull
			h.cas = rec.CAS
		} else if base := sh.open[queue]; old != 0 && (base == 0 || old >= sh.pool.segment(base).cas) {
			// The value that the place would imply might not be larger than the last.
			h.shape |= casFull
			h.cas = max(sh.nextCAS(), old+1)
		}
	}
	if t.crowds(rec.Parts) {
		t.Delete()
	}
	if err := t.write(&h, queue, rec.Parts, false); err != nil {
		sh.class[class].OutOfMemory++
		return 0, err
	}
	counter{sh}.tally(int16(class))
	t.change = Changed
	return t.CAS(), nil
}

// write appends a record for the key to a queue and updates the index. It replaces
// the record found.
func (t *Txn) write(h *header, queue int, value [2][]byte, force bool) error {
	sh := t.sh
	nvalue := len(value[0]) + len(value[1])
	n := h.length(len(t.key), nvalue)
	if t.leaf != nil {
		sh.held = sh.pool.Base(t.r.loc)
	}
	p, ok := sh.room(queue, n, force)
	sh.held = 0
	if !ok {
		if t.leaf != nil {
			t.leaf, t.at = sh.slotOf(t.hash, t.r.loc, t.at) // room may have removed other items
		}
		return ErrNoMemory
	}
	b := sh.pool.Bytes(p.loc(), int64(n))
	v := b[h.write(b, t.key, nvalue):]
	copy(v[copy(v, value[0]):], value[1])
	h.seal(b, nvalue)
	loc := p.loc()
	if t.leaf != nil {
		t.leaf, t.at = sh.slotOf(t.hash, t.r.loc, t.at)
		w := &t.leaf.slots[t.at]
		*w = *w&^uint64(locMask) | uint64(loc)
		was, from := sh.sizeOf(&t.r), sh.queueOf(&t.r)
		sh.drop(&t.r)
		sh.commit(p, n, h.expiry)
		t.r.decode(sh.pool, loc)
		counter{sh}.recount(was, from, &t.r)
		return nil
	}
	size := sh.index.bytes
	if !sh.index.insert(t.hash, uint64(loc)) {
		sh.reap(p.base)
		return ErrNoMemory
	}
	sh.took = sh.took || sh.index.bytes > size
	sh.commit(p, n, h.expiry)
	t.r.decode(sh.pool, loc)
	counter{sh}.count(&t.r)
	t.leaf, t.at = sh.slotOf(t.hash, t.r.loc, t.at)
	return nil
}
