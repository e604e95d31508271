package state

import (
	"math"
	"testing"

	"lintel.dev/internal/sequence"
)

// linked is a link whose feed of two lanes is followed, at number 10 each, with
// one entry.
func linked(t *testing.T) (*Link, *Table, *Source) {
	t.Helper()
	table, src := NewTable(Config{MaxBytes: 1 << 20}), NewSource("s")
	l := NewLink(table, src)
	epoch := sequence.Epoch{1: 5}
	if !l.Answer(l.Ask(1), epoch, []uint64{10, 10}) {
		t.Fatal("the first epoch was known")
	}
	for lane := range 2 {
		l.Publication(2, Publication{Epoch: epoch, Lane: lane, First: 10})
	}
	l.Answer(l.Ask(3), epoch, []uint64{10, 10})
	if at, ok := src.Fresh(); !ok || at != 3 {
		t.Fatalf("fresh is %d, %v, expected 3", at, ok)
	}
	p, _, _ := table.Begin(7, "k", src, 0, 4)
	table.Finish(p, "k", Value{}, Reply{Value: Value{TTL: Unlimited, CAS: 1}}, 0)
	return l, table, src
}

// TestOddPublications: what a faulty or hostile publisher sends costs a counter,
// and never makes a value fresh.
func TestOddPublications(t *testing.T) {
	same := sequence.Epoch{1: 5}
	for _, c := range []struct {
		name string
		p    Publication
		want LinkStats
		hit  bool // the entry is still served
		rest bool // the server restarted
	}{
		{"the next record, of another key", Publication{same, 0, 11, []Record{{Hash: 8}}}, LinkStats{Records: 1}, true, false},
		{"the next record, of the key", Publication{same, 1, 11, []Record{{Hash: 7}}}, LinkStats{Records: 1}, false, false},
		{"a heartbeat", Publication{same, 0, 10, nil}, LinkStats{}, true, false},
		{"a gap before a record", Publication{same, 0, 12, []Record{{Hash: 8}}}, LinkStats{Records: 1, Gaps: 1}, false, false},
		{"a gap before a heartbeat", Publication{same, 0, 11, nil}, LinkStats{Gaps: 1}, false, false},
		{"a sequence that runs backwards", Publication{same, 0, 9, []Record{{Hash: 7}}}, LinkStats{Duplicates: 1}, true, false},
		{"a heartbeat that runs backwards", Publication{same, 0, 3, nil}, LinkStats{Duplicates: 1}, true, false},
		{"a number that overflows", Publication{same, 0, math.MaxUint64, []Record{{Hash: 7}}}, LinkStats{Duplicates: 1}, true, false},
		{"the last number in a heartbeat", Publication{same, 0, math.MaxUint64, nil}, LinkStats{Duplicates: 1}, true, false},
		{"a lane that does not exist", Publication{same, 2, 11, []Record{{Hash: 7}}}, LinkStats{Unknown: 1}, true, false},
		{"a negative lane", Publication{same, -1, 11, nil}, LinkStats{Unknown: 1}, true, false},
		{"an earlier epoch", Publication{sequence.Epoch{1: 4}, 0, 11, []Record{{Hash: 7}}}, LinkStats{Duplicates: 1}, true, false},
		{"a later epoch", Publication{sequence.Epoch{1: 6}, 0, 11, []Record{{Hash: 8}}}, LinkStats{Restarts: 1}, false, true},
		{"records lost by the server", Publication{same, 0, 11, []Record{{Op: Lost}}}, LinkStats{Records: 1, Lost: 1}, false, false},
		{"a flush", Publication{same, 0, 11, []Record{{Op: Flushed}}}, LinkStats{Records: 1, Flushes: 1}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, table, src := linked(t)
			if got := l.Publication(5, c.p); got != c.rest {
				t.Errorf("restarted is %v", got)
			}
			if got := l.Stats(); got != c.want {
				t.Errorf("counters %+v, expected %+v", got, c.want)
			}
			if _, ok := table.Hit(7, "k", 0, 5, 10); ok != c.hit {
				t.Errorf("served is %v", ok)
			}
			if at, ok := src.Fresh(); ok == c.rest || ok && at != 3 {
				t.Errorf("fresh is %d, %v", at, ok)
			}
		})
	}
}

// TestEpochThatAlwaysChanges: each publication has a later epoch. Only a fence
// makes an epoch known, so the entries are given up once.
func TestEpochThatAlwaysChanges(t *testing.T) {
	l, _, src := linked(t)
	gen := src.gen.Load()
	for i := range 10_000 {
		l.Publication(5, Publication{Epoch: sequence.Epoch{0: 1 + byte(i>>8), 1: byte(i)}, Lane: i, First: uint64(i)})
	}
	if got := src.gen.Load() - gen; got != 1 || l.Stats().Restarts != 1 || len(l.lanes) != 0 {
		t.Errorf("%d generations, %d lanes, %+v: expected one restart", got, len(l.lanes), l.Stats())
	}
}

// TestStrayFences: answers to questions that were not asked, or were answered.
func TestStrayFences(t *testing.T) {
	l, table, src := linked(t)
	same := sequence.Epoch{1: 5}
	nonce := l.Ask(50)
	l.Answer(nonce+1, sequence.Epoch{1: 9}, []uint64{0})
	l.Answer(0, same, nil)
	if at, _ := src.Fresh(); at != 3 || l.Stats().Stray != 2 {
		t.Errorf("fresh is %d, %+v: expected 3 and two stray answers", at, l.Stats())
	}
	l.Answer(nonce, same, []uint64{10, 11})
	l.Answer(nonce, same, []uint64{10, 10})
	if at, _ := src.Fresh(); at != 3 {
		t.Errorf("fresh is %d although a record has not arrived", at)
	}
	if _, ok := table.Hit(7, "k", 0, 20, 10); ok {
		t.Error("served later than the bound")
	}
	l.Publication(60, Publication{Epoch: same, Lane: 1, First: 11, Records: []Record{{Hash: 8}}})
	if at, _ := src.Fresh(); at != 50 {
		t.Errorf("fresh is %d, expected the time of the question, 50", at)
	}
}

// TestClockOfTheServerSetBack: the epoch after a restart compares less. The fence
// decides.
func TestClockOfTheServerSetBack(t *testing.T) {
	l, table, src := linked(t)
	back := sequence.Epoch{1: 2}
	l.Publication(5, Publication{Epoch: back, Lane: 0, First: 1, Records: []Record{{Hash: 9}}})
	if !l.Answer(l.Ask(6), back, []uint64{1, 0}) {
		t.Fatal("the fence did not tell of the restart")
	}
	if _, ok := table.Hit(7, "k", 0, 6, 10); ok {
		t.Error("an entry of the process before is served")
	}
	l.Answer(l.Ask(7), back, []uint64{1, 0})
	l.Publication(8, Publication{Epoch: back, Lane: 0, First: 1})
	l.Publication(8, Publication{Epoch: back, Lane: 1, First: 0})
	if at, ok := src.Fresh(); !ok || at != 7 {
		t.Errorf("fresh is %d, %v, expected 7", at, ok)
	}
}
