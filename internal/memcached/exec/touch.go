package exec

import "lintel.dev/internal/memcached/store"

// Touch sets the expiry time of an item, in unix seconds, 0 for never. It
// reports whether there is one.
func (b *Batch) Touch(key []byte, expiry int64) bool {
	var tx store.Txn
	found := b.Open(&tx, key)
	b.logChange(&tx, key, found)
	if !found {
		tx.End()
		b.Count(TouchMisses)
		return false
	}
	size := tx.Size()
	tx.Bump()
	tx.SetExpiry(expiry)
	tx.End()
	b.countClass(TouchHits, size)
	return true
}
