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
		h := s.Hash(key)
		loc := s.shardOf(h).index.peek(h)
		tx := s.BeginHash(key, h)
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
		h := s.Hash(benchKey(key, n+i))
		if s.shardOf(h).index.peek(h) != 0 {
			wrong++
		}
	}
	if wrong > n/100 {
		t.Errorf("%d of %d items found that are not there", wrong, n)
	}
	// Where nothing was ever stored there is nothing to look at.
	empty, _ := open(t, Options{MaxBytes: MinLimit})
	h := empty.Hash(key)
	empty.Expect(h)
	empty.ExpectItem(h)
	empty.ExpectChange(h)
}
