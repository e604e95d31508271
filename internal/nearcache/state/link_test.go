package state

import (
	"math"
	"testing"

	"lintel.dev/internal/nearcache/wire"
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
		l.Publication(2, &wire.Header{Epoch: epoch, Lane: lane, First: 10}, nil)
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
		h    wire.Header
		rs   []wire.Record
		want LinkStats
		hit  bool // the entry is still served
		rest bool // the server restarted
	}{
		{"the next record, of another key", wire.Header{Lane: 0, Epoch: same, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 8}}, LinkStats{Records: 1}, true, false},
		{"the next record, of the key", wire.Header{Lane: 1, Epoch: same, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 7}}, LinkStats{Records: 1}, false, false},
		{"a heartbeat", wire.Header{Lane: 0, Epoch: same, First: 10}, nil, LinkStats{}, true, false},
		{"a gap before a record", wire.Header{Lane: 0, Epoch: same, First: 12, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 8}}, LinkStats{Records: 1, Gaps: 1}, false, false},
		{"a gap before a heartbeat", wire.Header{Lane: 0, Epoch: same, First: 11}, nil, LinkStats{Gaps: 1}, false, false},
		{"a sequence that runs backwards", wire.Header{Lane: 0, Epoch: same, First: 9, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 7}}, LinkStats{Duplicates: 1}, true, false},
		{"a heartbeat that runs backwards", wire.Header{Lane: 0, Epoch: same, First: 3}, nil, LinkStats{Duplicates: 1}, true, false},
		{"a number that overflows", wire.Header{Lane: 0, Epoch: same, First: math.MaxUint64, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 7}}, LinkStats{Duplicates: 1}, true, false},
		{"the last number in a heartbeat", wire.Header{Lane: 0, Epoch: same, First: math.MaxUint64}, nil, LinkStats{Duplicates: 1}, true, false},
		{"a lane that does not exist", wire.Header{Lane: 2, Epoch: same, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 7}}, LinkStats{Unknown: 1}, true, false},
		{"a negative lane", wire.Header{Lane: -1, Epoch: same, First: 11}, nil, LinkStats{Unknown: 1}, true, false},
		{"an earlier epoch", wire.Header{Lane: 0, Epoch: sequence.Epoch{1: 4}, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 7}}, LinkStats{Duplicates: 1}, true, false},
		{"a later epoch", wire.Header{Lane: 0, Epoch: sequence.Epoch{1: 6}, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 8}}, LinkStats{Restarts: 1}, false, true},
		{"records lost by the server", wire.Header{Lane: 0, Epoch: same, First: 11, Count: 1}, []wire.Record{{Op: wire.Lost}}, LinkStats{Records: 1, Lost: 1}, false, false},
		{"a flush", wire.Header{Lane: 0, Epoch: same, First: 11, Count: 1}, []wire.Record{{Op: wire.FlushAll}}, LinkStats{Records: 1, Flushes: 1}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, table, src := linked(t)
			if got := l.Publication(5, &c.h, c.rs); got != c.rest {
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
		l.Publication(5, &wire.Header{Epoch: sequence.Epoch{0: 1 + byte(i>>8), 1: byte(i)}, Lane: i, First: uint64(i)}, nil)
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
	l.Publication(60, &wire.Header{Epoch: same, Lane: 1, First: 11, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 8}})
	if at, _ := src.Fresh(); at != 50 {
		t.Errorf("fresh is %d, expected the time of the question, 50", at)
	}
}

// TestClockOfTheServerSetBack: the epoch after a restart compares less. The fence
// decides.
func TestClockOfTheServerSetBack(t *testing.T) {
	l, table, src := linked(t)
	back := sequence.Epoch{1: 2}
	l.Publication(5, &wire.Header{Epoch: back, Lane: 0, First: 1, Count: 1}, []wire.Record{{Op: wire.Changed, Hash: 9}})
	if !l.Answer(l.Ask(6), back, []uint64{1, 0}) {
		t.Fatal("the fence did not tell of the restart")
	}
	if _, ok := table.Hit(7, "k", 0, 6, 10); ok {
		t.Error("an entry of the process before is served")
	}
	l.Answer(l.Ask(7), back, []uint64{1, 0})
	l.Publication(8, &wire.Header{Epoch: back, Lane: 0, First: 1}, nil)
	l.Publication(8, &wire.Header{Epoch: back, Lane: 1, First: 0}, nil)
	if at, ok := src.Fresh(); !ok || at != 7 {
		t.Errorf("fresh is %d, %v, expected 7", at, ok)
	}
}
