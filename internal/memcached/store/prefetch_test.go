package store

import "testing"

// TestPeek looks from outside for items that are there, and for some that are not.
func TestPeek(t *testing.T) {
	const n = 50_000
	s := filled(t, 32<<20, n)
	right := 0
	var key []byte
	for i := range uint64(n) {
		key = benchKey(key, i)
		var a Lookup
		s.Prefetch(&a, key)
		loc := s.indexes.peek(&a)
		var tx Txn
		s.BeginPrefetched(&tx, &a)
		if !tx.Find() {
			t.Fatalf("%s is gone", key)
		}
		if tx.r.loc == loc {
			right++
		}
		tx.End()
	}
	if right < n*9/10 {
		t.Errorf("%d of %d items found", right, n)
	}
	wrong := 0
	for i := range uint64(n) {
		var a Lookup
		s.Prefetch(&a, benchKey(key, n+i))
		if s.indexes.peek(&a) != 0 {
			wrong++
		}
		var tx Txn
		s.BeginPrefetched(&tx, &a)
		if tx.Find() {
			t.Fatalf("%s was never stored", a.Key)
		}
		tx.End()
	}
	if wrong > n/100 {
		t.Errorf("%d of %d items found that are not there", wrong, n)
	}
	// Where nothing was ever stored there is nothing to look at.
	empty, _ := open(t, Options{MaxBytes: MinLimit})
	var a Lookup
	empty.Prefetch(&a, key)
	empty.PrefetchItem(&a)
	empty.PrefetchChange(&a)
	var tx Txn
	empty.BeginPrefetched(&tx, &a)
	if tx.Find() {
		t.Error("something was found in an empty store")
	} else {
		tx.End()
	}
}
