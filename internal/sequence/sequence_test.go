package sequence

import (
	"testing"
	"time"
)

func TestTracker(t *testing.T) {
	a, b, c := NewEpoch(time.Unix(1, 0)), NewEpoch(time.Unix(2, 0)), NewEpoch(time.Unix(3, 0))
	var tr Tracker
	if v := tr.Observe(a, 1); v != Restart {
		t.Errorf("first epoch: %v, want Restart", v)
	}
	tr.Begin(a, 5)
	for n, want := range map[uint64]Verdict{4: Duplicate, 5: Next, 6: Gap, 1 << 63: Gap, 0: Duplicate} {
		if v := tr.Observe(a, n); v != want {
			t.Errorf("number %d: %v, want %v", n, v, want)
		}
	}
	tr.Begin(b, 1)
	if v := tr.Observe(a, 9); v != Duplicate {
		t.Errorf("number of an earlier epoch: %v, want Duplicate", v)
	}
	if v := tr.Observe(c, 1); v != Restart {
		t.Errorf("third epoch: %v, want Restart", v)
	}
}

func TestEpochText(t *testing.T) {
	e := NewEpoch(time.Now())
	if got, err := ParseEpoch(e.String()); err != nil || got != e {
		t.Errorf("ParseEpoch(%q) = %v, %v", e, got, err)
	}
	for _, bad := range []string{"", "00", e.String() + "0", "zz" + e.String()[2:]} {
		if _, err := ParseEpoch(bad); err == nil {
			t.Errorf("ParseEpoch(%q) succeeded", bad)
		}
	}
}

// TestFence: the state is as new as the moment of the question, and only once
// the numbers of the answer have arrived in every lane.
func TestFence(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	var f Fence
	if f.Answer(0) {
		t.Error("an answer without a question was accepted")
	}
	f.Advance(0, 3)
	n := f.Ask(at(1))
	if f.Answer(n+1, 3) {
		t.Error("an answer to another question was accepted")
	}
	if !f.Answer(n, 4, 2) || !f.Fresh().IsZero() {
		t.Error("fresh before the numbers arrived")
	}
	if f.Answer(n, 3, 2) {
		t.Error("a second answer was accepted")
	}
	f.Advance(0, 4)
	if !f.Fresh().IsZero() {
		t.Error("fresh although lane 1 is behind")
	}
	// A later question must not move the target.
	f.Answer(f.Ask(at(2)), 100, 100)
	f.Advance(1, 2)
	if f.Fresh() != at(1) {
		t.Errorf("fresh at %v, want the time of the first question", f.Fresh())
	}
	f.Reset()
	if !f.Fresh().IsZero() {
		t.Error("fresh after a reset")
	}
	if f.Answer(n, 0) {
		t.Error("an answer from before the reset was accepted")
	}
}
