package memcached

import (
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// arith adds delta to the counter of key, or takes it away, and returns the
// new value. tx is begun for key and stays so; with outcome stored it is on
// the item. compare is a CAS value the item must have, newCAS one it gets; 0
// for either is none.
func (t *turn) arith(tx *store.Txn, key []byte, incr bool, delta, compare, newCAS uint64) (v uint64, out outcome) {
	found := tx.Find()
	t.looked(tx, key, found)
	if !found {
		return 0, notFound
	}
	// An empty value is no number whatever its version; any other value that
	// is none is only found out about when its version is right.
	old := tx.Value()
	if len(old) == 0 {
		return 0, nonNumeric
	}
	if compare != 0 && compare != tx.CAS() {
		return 0, exists
	}
	v, ok := mcproto.ParseUint(old)
	if !ok {
		return 0, nonNumeric
	}
	size := tx.Size()
	switch {
	case incr:
		v += delta // wraps, as the protocol has it
	case delta > v:
		v = 0
	default:
		v -= delta
	}
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], v, 10)
	if len(text) > len(old) {
		_, err := tx.Put(store.Record{
			Flags: tx.Flags(), Expiry: tx.Expiry(), CAS: newCAS, Parts: [2][]byte{text},
		})
		if err != nil {
			return 0, noMemory
		}
	} else {
		// A shorter number keeps the length of the value.
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
		if newCAS != 0 {
			tx.SetCAS(newCAS)
		}
		tx.Warm()
	}
	if incr {
		t.countClass(classIncrHits, size)
	} else {
		t.countClass(classDecrHits, size)
	}
	return v, stored
}

// countArithMiss counts an arith whose outcome notFound stands.
func (t *turn) countArithMiss(incr bool) {
	if incr {
		t.count(incrMisses)
	} else {
		t.count(decrMisses)
	}
}
