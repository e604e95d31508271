package state

import (
	"time"

	"lintel.dev/internal/sequence"
)

// Op is the kind of a record.
type Op uint8

// The operations of records.
const (
	Changed Op = iota // the key has another value, none, or a shorter life
	Flushed           // any number of keys have
	Lost              // the server could not publish some records
)

// Record is one change of a server.
type Record struct {
	Op   Op
	Hash uint64 // of the key; of Changed
}

// Publication is a message of a server's feed.
type Publication struct {
	Epoch sequence.Epoch
	Lane  int
	// First is the number of the first record. Without records the publication is
	// a heartbeat, and First is the last number that was given.
	First   uint64
	Records []Record
}

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

// Publication takes a message of the feed at time now. It reports whether the
// server restarted. Then a fence should be asked for at once.
func (l *Link) Publication(now int64, p Publication) (restarted bool) {
	switch {
	case l.epoch == sequence.Epoch{}:
		return false // a fence tells the epoch and the lanes
	case p.Epoch != l.epoch && p.Epoch.Before(l.epoch):
		// Of a connection to the process before. If the clock of the server was
		// set back, the next fence tells.
		l.stats.Duplicates++
		return false
	case p.Epoch != l.epoch:
		l.forget()
		return true
	case p.Lane < 0 || p.Lane >= len(l.lanes):
		l.stats.Unknown++
		return false
	}
	lane := &l.lanes[p.Lane]
	first, next := p.First, p.First+uint64(len(p.Records))
	if len(p.Records) == 0 {
		first, next = p.First+1, p.First+1
	}
	switch {
	case next < p.First || lane.known && next < lane.next || lane.known && next == lane.next && len(p.Records) > 0:
		l.stats.Duplicates++
		return false
	case lane.known && first > lane.next:
		l.stats.Gaps++
		l.src.Suspect()
	}
	for _, r := range p.Records {
		l.apply(r)
	}
	// Only now, with the records applied, may a fence count them as arrived.
	lane.known, lane.next = true, next
	l.fence.Advance(p.Lane, next-1)
	l.advance()
	if l.mut.ArrivalFresh {
		l.src.fresh.Store(now)
	}
	return false
}

func (l *Link) apply(r Record) {
	l.stats.Records++
	switch r.Op {
	case Changed:
		l.table.Invalidate(r.Hash)
	case Flushed:
		l.stats.Flushes++
		l.src.Suspect()
	case Lost:
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
