package exec

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// Arith is an increment or decrement.
type Arith struct {
	Key     []byte
	Incr    bool
	Delta   uint64
	Compare uint64 // CAS value that the item must have, 0 is any
	NewCAS  uint64 // CAS value of the changed item, 0 is the next value

	Create  bool // a missing item is made with the value Initial
	Initial uint64
	Exptime int64 // expiry time of such an item as sent, for the log
	Expiry  int64 // the same in unix seconds, 0 is never
}

// Arith opens tx, executes a and returns the new value. tx stays open if the
// outcome is Stored; created is set then if the item is new.
func (b *Batch) Arith(tx *store.Txn, a *Arith) (v uint64, created bool, out Outcome) {
	found := b.Open(tx, a.Key)
	b.logChange(tx, a.Key, found)
	switch {
	case found:
		v, out = b.add(tx, a)
	case a.Create:
		v, created = a.Initial, true
		out = b.create(tx, a)
	default:
		out = NotFound
		if a.Incr {
			b.Count(IncrMisses)
		} else {
			b.Count(DecrMisses)
		}
	}
	if out != Stored {
		tx.End()
	}
	return v, created, out
}

// create stores the initial value of a.
func (b *Batch) create(tx *store.Txn, a *Arith) Outcome {
	var digits [20]byte
	_, err := tx.Put(store.Record{
		Expiry: a.Expiry, CAS: a.NewCAS,
		Parts: [2][]byte{strconv.AppendUint(digits[:0], a.Initial, 10)},
	})
	if err != nil {
		return NoMemory
	}
	if b.Log.Any() {
		b.Log.Store(b.Conn.Net.ID(), a.Key, outcomeNames[Stored], modeNames[Add], a.Exptime, tx.Size(), len(tx.Value()))
	}
	return Stored
}

// add changes the number in the item that tx has found.
func (b *Batch) add(tx *store.Txn, a *Arith) (v uint64, out Outcome) {
	// An empty value is not a number, whatever its CAS value. Any other value is
	// parsed only after the CAS value has matched.
	old := tx.Value()
	if len(old) == 0 {
		return 0, NonNumeric
	}
	if a.Compare != 0 && a.Compare != tx.CAS() {
		return 0, Exists
	}
	v, ok := mcproto.ParseUint(old)
	if !ok {
		return 0, NonNumeric
	}
	size := tx.Size()
	switch {
	case a.Incr:
		v += a.Delta // wraps around, as in the protocol
	case a.Delta > v:
		v = 0
	default:
		v -= a.Delta
	}
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], v, 10)
	if len(text) > len(old) {
		_, err := tx.Put(store.Record{
			Flags: tx.Flags(), Expiry: tx.Expiry(), CAS: a.NewCAS, Parts: [2][]byte{text},
		})
		if err != nil {
			return 0, NoMemory
		}
	} else {
		// A shorter number is padded to the length of the value.
		var short [32]byte
		value := short[:0]
		if len(old) > len(short) {
			value = make([]byte, 0, len(old))
		}
		value = append(value, text...)
		for len(value) < len(old) {
			value = append(value, ' ')
		}
		tx.Overwrite(value)
		if a.NewCAS != 0 {
			tx.SetCAS(a.NewCAS)
		}
		tx.Warm()
	}
	if a.Incr {
		b.countClass(IncrHits, size)
	} else {
		b.countClass(DecrHits, size)
	}
	return v, Stored
}
