package store

import "testing"

// TestFirstCAS: CAS values are above Options.CAS, in every shard.
func TestFirstCAS(t *testing.T) {
	const above = 1 << 60
	s, err := New(Options{MaxBytes: 8 << 20, CAS: above})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		tx := s.Begin([]byte(key))
		_, err := tx.Put(Record{Parts: [2][]byte{[]byte("v")}})
		if err != nil {
			t.Fatal(err)
		}
		if cas := tx.CAS(); cas <= above {
			t.Errorf("%s has the CAS value %d, expected more than %d", key, cas, uint64(above))
		}
		tx.End()
	}
}
