package engine

import "testing"

// Messages of equal length are counted exactly however many writes are merged, and
// others are not counted too few.
func TestSentLog(t *testing.T) {
	var l sentLog
	if n := l.last(10); n != 0 {
		t.Errorf("%d messages in a connection without writes", n)
	}
	for range 1000 {
		l.add(3, 30)
	}
	for octets, want := range map[int]int{0: 0, 1: 1, 10: 1, 11: 2, 30: 3, 31: 4, 3000: 300, 29_995: 3000, 30_000: 3000, 40_000: 3000} {
		if n := l.last(octets); n != want {
			t.Errorf("%d messages in the last %d octets, want %d", n, octets, want)
		}
	}
	if len(l.writes) > sentMarks {
		t.Errorf("%d marks", len(l.writes))
	}
}
