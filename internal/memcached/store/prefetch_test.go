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
		var a Ahead
		s.Ahead(&a, key)
		loc := s.shardOf(a.hash).index.peek(&a)
		tx := s.BeginAhead(&a)
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
		var a Ahead
		s.Ahead(&a, benchKey(key, n+i))
		if s.shardOf(a.hash).index.peek(&a) != 0 {
			wrong++
		}
		tx := s.BeginAhead(&a)
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
	var a Ahead
	empty.Ahead(&a, key)
	empty.Expect(&a)
	empty.ExpectChange(&a)
	if tx := empty.BeginAhead(&a); tx.Find() {
		t.Error("something was found in an empty store")
	} else {
		tx.End()
	}
}
