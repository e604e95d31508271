package store

import "github.com/cespare/xxhash/v2"

// Miss tells why Txn.Find found nothing.
type Miss uint8

const (
	Absent  Miss = iota // there is no such item
	Expired             // its time was up; it is removed
	Flushed             // FlushAll or FlushPrefix took it; it is removed
)

// Record is what Txn.Put stores.
type Record struct {
	Flags  uint32
	Expiry int64  // unix seconds, 0 is never
	CAS    uint64 // 0 is the next value
	Stale  bool
	Won    bool
	Parts  [2][]byte // the value is both, one after the other; they may be part of what Txn.Value returned
}

// Txn is the exclusive hold on the shard that a key lives in, from Store.Begin to End. It is used by one goroutine, which makes
// no other call to the store in between. The methods that describe an item may be called while one is found: after Find
// returned true and until Delete, and after Put succeeded.
type Txn struct {
	sh   *shard
	key  []byte
	e    *entry
	miss Miss
}

// Begin takes the hold on key's shard. The key, of 1 to MaxKey bytes, must not change until End.
func (s *Store) Begin(key []byte) Txn {
	sh := &s.shards[xxhash.Sum64(key)&s.mask]
	sh.mu.Lock()
	return Txn{sh: sh, key: key}
}

// End gives up the hold. The Txn must not be used afterwards.
func (t *Txn) End() { t.sh.mu.Unlock() }

// Find looks for the live item of the key. Missed tells why it returned false.
func (t *Txn) Find() bool {
	t.e, t.miss = t.sh.find(t.key)
	return t.e != nil
}

// Missed tells why Find returned false.
func (t *Txn) Missed() Miss { return t.miss }

// Value returns the item's value. It is valid until End or the next change to the item, and must not be written to.
func (t *Txn) Value() []byte { return t.e.value }

// Flags returns the client's flags.
func (t *Txn) Flags() uint32 { return t.e.flags }

// CAS returns the item's unique value, 0 when Options.DisableCAS is set. It changes with every change to the value.
func (t *Txn) CAS() uint64 { return t.e.cas }

// Expiry returns the unix second at which the item expires, 0 for never.
func (t *Txn) Expiry() int64 { return t.e.expiry }

// LastAccess returns the unix second in which the item was stored, touched or last counted by Bump.
func (t *Txn) LastAccess() int64 { return t.e.access }

// Fetched tells whether Bump was called since the item was stored.
func (t *Txn) Fetched() bool { return t.e.hits > 0 }

// Stale returns the mark set by SetMarks or Put.
func (t *Txn) Stale() bool { return t.e.stale }

// Won returns the mark set by SetMarks or Put.
func (t *Txn) Won() bool { return t.e.won }

// Size returns what ItemSize counts for the item.
func (t *Txn) Size() int { return t.sh.size(t.e) }

// Bump counts an access: the item counts as fetched, its last access is now, and it is less likely to be evicted.
func (t *Txn) Bump() {
	t.e.access = t.sh.s.now()
	t.e.hits = min(t.e.hits+1, 3)
}

// SetExpiry changes when the item expires (unix seconds, 0 is never). Its CAS value stays, its last access is now.
func (t *Txn) SetExpiry(unix int64) {
	t.e.expiry = unix
	t.e.access = t.sh.s.now()
}

// SetMarks sets the two marks that leases need. The CAS value stays.
func (t *Txn) SetMarks(stale, won bool) { t.e.stale, t.e.won = stale, won }

// SetCAS changes the CAS value; 0 is the next value, larger than the item's last.
func (t *Txn) SetCAS(cas uint64) { t.e.cas = t.sh.nextCAS(cas) }

// Overwrite changes the value to v, which is of the same length and may be part of what Value returned, and returns the new
// CAS value. Everything else about the item stays. A pinned value is not changed: the item gets new bytes.
func (t *Txn) Overwrite(v []byte) (cas uint64) {
	t.e.value = append([]byte(nil), v...)
	t.e.cas = t.sh.nextCAS(0)
	return t.e.cas
}

// Delete removes the item found.
func (t *Txn) Delete() {
	t.sh.remove(t.e)
	t.e, t.miss = nil, Absent
}

// Pin returns the value and a function that must be called once it is no longer needed; until then its bytes do not change,
// whatever happens to the item. Pinned bytes that no longer belong to an item still count as used memory.
func (t *Txn) Pin() (value []byte, release func()) { return t.e.value, func() {} }

// Put stores an item under the key, in place of the one there is, and returns its CAS value. When it fails, with ErrTooLarge
// or ErrNoMemory, the old item is untouched.
func (t *Txn) Put(r Record) (cas uint64, err error) {
	if ItemSize(len(t.key), len(r.Parts[0])+len(r.Parts[1]), r.Flags, !t.sh.s.opts.DisableCAS) > t.sh.s.opts.MaxItemSize {
		return 0, ErrTooLarge
	}
	e, err := t.sh.put(t.key, &r)
	if err != nil {
		return 0, err
	}
	t.e = e
	return e.cas, nil
}
