package state

import (
	"time"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
)

// LinkStats are counters of a Link.
type LinkStats struct {
	Records    uint64 // records applied
	Gaps       uint64 // jumps of a lane's numbers
	Lost       uint64 // records lost by the server itself
	Flushes    uint64
	Restarts   uint64 // other epochs of the server
	Duplicates uint64 // publications that run backwards, or of an earlier epoch: ignored
	Unknown    uint64 // publications for lanes that do not exist: ignored
	Stray      uint64 // fence answers to no question: ignored
}

// Link follows one server: the publications of its feed, and the answers to
// fences. It changes the table and the source.
type Link struct {
	table *Table
	src   *Source
	mut   Mutants

	epoch sequence.Epoch // zero: not known, publications are ignored
	lanes []lane
	fence sequence.Fence
	stats LinkStats
}

// lane is a numbered stream of records of one epoch.
type lane struct {
	known bool
	next  uint64 // number of the next record
}

// NewLink returns the link of src. It knows nothing: ask the server for a fence.
func NewLink(t *Table, src *Source) *Link {
	return &Link{table: t, src: src, mut: t.shards[0].mutants}
}

// at converts the table's time for package sequence.
func at(ns int64) time.Time { return time.Unix(0, ns) }

// Ask returns the nonce of a fence that is asked for at time now. An earlier one
// without an answer is forgotten.
func (l *Link) Ask(now int64) (nonce uint64) { return l.fence.Ask(at(now)) }

// Answer takes the answer to a fence: the server's epoch and the last number of
// each lane. It reports whether the server is in an epoch that was not known.
// Then the next fence should be asked for at once.
func (l *Link) Answer(nonce uint64, epoch sequence.Epoch, last []uint64) (restarted bool) {
	if !l.fence.Answer(nonce, last...) {
		l.stats.Stray++
		return false
	}
	if epoch != l.epoch || len(last) != len(l.lanes) {
		l.forget()
		l.epoch, l.lanes = epoch, make([]lane, len(last))
		return true
	}
	l.advance()
	return false
}

// forget begins anew: the server restarted, or is another one.
func (l *Link) forget() {
	if l.epoch != (sequence.Epoch{}) {
		l.stats.Restarts++
	}
	l.src.Suspect()
	l.src.fresh.Store(never)
	l.fence.Reset()
	l.epoch, l.lanes = sequence.Epoch{}, nil
}

// Publication takes a message of the feed at time now, whose records were decoded. It reports whether the
// server restarted. Then a fence should be asked for at once.
func (l *Link) Publication(now int64, h *wire.Header, records []wire.Record) (restarted bool) {
	switch {
	case l.epoch == sequence.Epoch{}:
		return false // a fence tells the epoch and the lanes
	case h.Epoch != l.epoch && h.Epoch.Before(l.epoch):
		// Of a connection to the process before. If the clock of the server was
		// set back, the next fence tells.
		l.stats.Duplicates++
		return false
	case h.Epoch != l.epoch:
		l.forget()
		return true
	case h.Lane < 0 || h.Lane >= len(l.lanes):
		l.stats.Unknown++
		return false
	}
	lane := &l.lanes[h.Lane]
	// A heartbeat has the number of the last record, as if that had arrived.
	first, next := h.First, h.Last()+1
	if h.Heartbeat() {
		first = next
	}
	switch {
	case next < h.First || lane.known && next < lane.next || lane.known && next == lane.next && !h.Heartbeat():
		l.stats.Duplicates++
		return false
	case lane.known && first > lane.next:
		l.stats.Gaps++
		l.src.Suspect()
	}
	for _, r := range records {
		l.apply(&r)
	}
	// Only now, with the records applied, may a fence count them as arrived.
	lane.known, lane.next = true, next
	l.fence.Advance(h.Lane, next-1)
	l.advance()
	if l.mut.ArrivalFresh {
		l.src.fresh.Store(now)
	}
	return false
}

func (l *Link) apply(r *wire.Record) {
	l.stats.Records++
	switch r.Op {
	case wire.Changed, wire.Deleted, wire.Touched:
		l.table.Invalidate(r.Hash)
	case wire.FlushAll, wire.FlushPrefix:
		l.stats.Flushes++
		l.src.Suspect()
	case wire.Lost:
		l.stats.Lost++
		l.src.Suspect()
	}
}

// advance publishes the time of the last fence that was reached, if all lanes
// are known.
func (l *Link) advance() {
	fresh := l.fence.Fresh()
	if fresh.IsZero() {
		return
	}
	for _, lane := range l.lanes {
		if !lane.known {
			return
		}
	}
	if l.src.fresh.Load() == never {
		// What was asked for before the lanes were followed may have missed records.
		l.src.Suspect()
	}
	l.src.fresh.Store(fresh.UnixNano())
}

// Close makes all entries of the source unusable: the server left the fleet.
func (l *Link) Close() { l.forget() }

// Stats returns the counters.
func (l *Link) Stats() LinkStats { return l.stats }
