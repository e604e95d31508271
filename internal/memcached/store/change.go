package store

// Change is what a transaction or a flush did, for Hooks.Change. Evictions, expiry and
// reads are not changes.
type Change uint8

// The changes.
const (
	Unchanged     Change = iota
	Changed              // an item was stored, or its value, flags, CAS value or stale mark were changed
	Deleted              // an item was removed
	Touched              // only the expiry time of an item changed
	AllFlushed           // every item of the lane was removed
	PrefixFlushed        // every item of the lane whose key begins with the prefix was removed
)

// announce numbers a change and passes it to Hooks.Change if that is wanted. The lock
// of the shard is held. The number moves on without listeners, too: a listener that
// lost its connection must not find its last number confirmed.
func (sh *shard) announce(c Change, key []byte) {
	sh.changes++
	if sh.heard {
		sh.s.opts.Hooks.Change(sh.id, sh.changes, c, key)
	}
}

// Lanes returns the number of lanes in which changes are numbered, 1 to 64. Each
// shard is one.
func (s *Store) Lanes() int { return len(s.shards) }

// Listen turns the calls of Hooks.Change on or off. When it returns, every later
// change is passed on, or none. It does nothing without Hooks.Change.
func (s *Store) Listen(on bool) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		sh.heard = on && s.opts.Hooks.Change != nil
		sh.mu.Unlock()
	}
}

// Numbers appends the number of the last change of each lane, 0 before the first. A
// FlushAll whose time has come takes effect before.
func (s *Store) Numbers(dst []uint64) []uint64 {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		dst = append(dst, sh.changes)
		sh.mu.Unlock()
	}
	return dst
}
