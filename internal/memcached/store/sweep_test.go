package store

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSetSweep turns the search for expired items off and on again.
func TestSetSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{MaxBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		s.SetSweep(false)
		put(t, s, "a", "x", time.Now().Unix()+2)
		time.Sleep(10 * time.Second)
		if n := s.Stats().Items; n != 1 {
			t.Errorf("%d items with the sweep off, want 1", n)
		}
		s.SetSweep(true)
		time.Sleep(10 * time.Second)
		if n := s.Stats().Items; n != 0 {
			t.Errorf("%d items with the sweep on, want 0", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
