package exec

import (
	"cmp"

	"lintel.dev/internal/memcached/store"
)

// Delete is a command that deletes an item, or with Mark or Drop invalidates it.
type Delete struct {
	Key     []byte
	Compare uint64 // CAS value that the item must have, with Checked
	Checked bool
	Meta    bool // md: counted and logged as one

	Drop      bool   // the item stays without its value: a tombstone
	Flags     uint32 // of a tombstone
	Mark      bool   // the item stays and is marked as stale
	NewCAS    uint64 // CAS value of an item that stays, 0 is the next value
	SetExpiry bool
	Exptime   int64 // expiry time of an item that stays as sent, with SetExpiry
	Expiry    int64 // the same in unix seconds, 0 is never
}

// Delete executes d. The outcome is Stored, NotFound, Exists or NoMemory.
func (b *Batch) Delete(d *Delete) Outcome {
	var tx store.Txn
	found := b.Open(&tx, d.Key)
	b.logChange(&tx, d.Key, found)
	if !found {
		tx.End()
		b.Count(DeleteMisses)
		if !d.Meta {
			b.detail(d.Key, func(c *prefixCounts) { c.deletes++ })
		}
		return NotFound
	}
	if d.Checked && d.Compare != tx.CAS() {
		tx.End()
		if d.Meta {
			b.Count(DeleteMisses)
		}
		return Exists
	}
	size, n := tx.Size(), len(tx.Value())
	switch {
	case d.Drop:
		if err := b.drop(&tx, d); err != nil {
			tx.End()
			return NoMemory
		}
		n = 0
	case d.Mark:
		if d.SetExpiry {
			tx.SetExpiry(d.Expiry)
		}
		tx.SetMarks(true, false)
		tx.SetCAS(d.NewCAS)
	default:
		tx.Delete()
	}
	tx.End()
	if !d.Mark {
		b.countClass(DeleteHits, size)
	}
	if b.Log.Any() {
		b.detail(d.Key, func(c *prefixCounts) { c.deletes++ })
		if !d.Mark {
			cmd := "delete"
			if d.Meta {
				cmd = "md"
			}
			b.Log.Delete(d.Key, cmd, size, n)
		}
	}
	return Stored
}

// drop replaces the item of tx by a tombstone.
func (b *Batch) drop(tx *store.Txn, d *Delete) error {
	r := store.Record{Flags: d.Flags, CAS: cmp.Or(d.NewCAS, tx.CAS()), Expiry: d.Expiry}
	if d.Mark {
		r.Stale, r.CAS = true, d.NewCAS
	}
	if _, err := tx.Put(r); err != nil {
		return err
	}
	if b.Log.Any() {
		b.Log.Store(b.Conn.Net.ID(), d.Key, outcomeNames[Stored], modeNames[Set], d.Exptime, tx.Size(), 0)
	}
	return nil
}
