package exec

import (
	"lintel.dev/internal/memcached/store"
	"lintel.dev/internal/memcached/watch"
)

// Lookup opens tx and finds the item of k for a retrieval. If there is none it
// counts and logs a miss, ends tx and returns false. touch is set for commands
// that also change the expiry time (gat, binary touch).
//
// After true the caller encodes the item and calls [Batch.Hit] or [Batch.HitAs].
func (b *Batch) Lookup(tx *store.Txn, k *Key, touch bool) bool {
	if b.sampled {
		b.sample(k.Key)
	}
	b.Items.BeginPrefetched(tx, k)
	if tx.Find() {
		return true
	}
	why := tx.Missed()
	tx.End()
	b.Miss(k.Key, why, touch)
	return false
}

// Miss counts and logs a retrieval that found nothing.
func (b *Batch) Miss(key []byte, why store.Miss, touch bool) {
	if touch {
		b.Count(TouchMisses)
	} else {
		b.Count(GetMisses)
	}
	switch why {
	case store.Expired:
		b.Count(GetExpired)
	case store.Flushed:
		b.Count(GetFlushed)
	}
	if b.Log.Any() {
		b.logMiss(key, why)
	}
}

// missNames are the words of the fetchers stream.
var missNames = [...]string{store.Absent: "not_found", store.Expired: "expired", store.Flushed: "flushed"}

func (b *Batch) logMiss(key []byte, why store.Miss) {
	b.detail(key, func(c *prefixCounts) { c.gets++ })
	b.Log.Fetch(b.Conn.Net.ID(), key, missNames[why], 0, 0)
}

// ItemSize returns the size of an item as counters and limits see it.
func (b *Batch) ItemSize(key, value int, flags uint32) int {
	return store.ItemSize(key, value, flags, !b.DisableCAS)
}

// Hit counts a retrieval of an item of size bytes with a value of n, marks the
// item as used, ends tx and logs it.
func (b *Batch) Hit(tx *store.Txn, key []byte, size, n int) {
	tx.Bump()
	tx.End()
	b.countClass(GetHits, size)
	if b.Log.Any() {
		b.logHit(key, size, n)
	}
}

// Access is how a retrieval uses the item it has found.
type Access struct {
	NoBump    bool // does not mark the item as used
	SetExpiry bool
	Expiry    int64 // unix seconds, 0 is never, with SetExpiry
	Touch     bool  // counts as a touch, not as a get

	// Created is set if the retrieval found nothing, for the reason Missed, and
	// has made the item. It is logged as a miss.
	Created bool
	Missed  store.Miss
}

// HitAs is [Batch.Hit] for a retrieval that does more than read the value.
func (b *Batch) HitAs(tx *store.Txn, key []byte, size, n int, a *Access) {
	if !a.NoBump {
		tx.Bump()
	}
	if a.SetExpiry {
		tx.SetExpiry(a.Expiry)
	}
	tx.End()
	if a.Touch {
		b.countClass(TouchHits, size)
	} else {
		b.countClass(GetHits, size)
	}
	switch {
	case !b.Log.Any():
	case a.Created:
		b.logMiss(key, a.Missed)
	default:
		b.logHit(key, size, n)
	}
}

func (b *Batch) logHit(key []byte, size, n int) {
	b.detail(key, func(c *prefixCounts) { c.gets++; c.hits++ })
	b.Log.Fetch(b.Conn.Net.ID(), key, "found", size, n)
}

// logChange logs that a command which changes an item has looked it up. found is
// the result of tx.Find.
func (b *Batch) logChange(tx *store.Txn, key []byte, found bool) {
	switch {
	case !b.Log.Wants(watch.Fetchers):
	case found:
		b.Log.Fetch(b.Conn.Net.ID(), key, "found", tx.Size(), len(tx.Value()))
	default:
		b.Log.Fetch(b.Conn.Net.ID(), key, missNames[tx.Missed()], 0, 0)
	}
}

// Vivify stores an empty item for a retrieval that has found nothing and must
// create it, and lets the client win the right to fill it. tx stays open if it
// returns true.
func (b *Batch) Vivify(tx *store.Txn, expiry int64, cas uint64) bool {
	_, err := tx.Put(store.Record{Expiry: expiry, CAS: cas, Won: true})
	if err != nil {
		tx.End()
		b.Count(StoreNoMemory)
	}
	return err == nil
}

// PinSize is the size from which a value is sent from the store's memory instead
// of being copied into the reply.
const PinSize = 16 << 10

// AppendValue appends the value of tx to the replies, a large one without
// copying it.
func (b *Batch) AppendValue(tx *store.Txn, value []byte) {
	if len(value) < PinSize {
		b.W.B = append(b.W.B, value...)
		return
	}
	b.W.Ref(tx.Pin())
}

// Peek opens tx and finds the item of key without counting or logging. If there
// is none it ends tx and returns false.
func (b *Batch) Peek(tx *store.Txn, key []byte) bool {
	b.Items.BeginPrefetched(tx, b.Keys.Of(key))
	found := tx.Find()
	if !found {
		tx.End()
	}
	return found
}

// Open opens tx and finds the item of key without counting or logging.
func (b *Batch) Open(tx *store.Txn, key []byte) (found bool) {
	if b.sampled {
		b.sample(key)
	}
	b.Items.BeginPrefetched(tx, b.Keys.Of(key))
	return tx.Find()
}
