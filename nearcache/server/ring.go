package server

import (
	"sync"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/memcached"
)

// The bounds of a ring.
const (
	ringRecords = wire.MaxRecords
	ringOctets  = ringRecords * wire.RecordSize
)

// ring holds the records of one lane that have not been sent.
type ring struct {
	mu    sync.Mutex
	batch        // what waits
	lost  uint64 // changes dropped
	_     [56]byte
}

// batch is a run of records with consecutive numbers.
type batch struct {
	first   uint64 // number of the first record
	count   int
	records []byte // encoded
}

// ops are the operations of the kinds of changes.
var ops = [...]wire.Op{
	memcached.Changed: wire.Changed, memcached.Deleted: wire.Deleted, memcached.Touched: wire.Touched,
	memcached.AllFlushed: wire.FlushAll, memcached.PrefixFlushed: wire.FlushPrefix,
}

// add appends the record of a change. If there is no room, it drops all records and
// appends a Lost with the number of the change instead.
func (r *ring) add(number uint64, kind memcached.ChangeKind, key []byte) {
	rec := wire.Record{Op: ops[kind]}
	size := wire.RecordSize
	switch rec.Op {
	case wire.FlushAll:
	case wire.FlushPrefix:
		rec.Prefix = key
		size += 1 + len(key)
	default:
		rec.Hash = wire.Hash(key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count > 0 && number != r.first+uint64(r.count) {
		// Listen was off in between. Subscribers see the gap in the numbers.
		r.drop()
	}
	if r.count == ringRecords || len(r.records)+size > ringOctets {
		r.drop()
		r.lost++
		rec = wire.Record{Op: wire.Lost}
	}
	if r.count == 0 {
		r.first = number
	}
	r.count++
	r.records = wire.AppendRecord(r.records, rec)
}

// drop removes all records. r.mu is held.
func (r *ring) drop() {
	r.lost += uint64(r.count)
	if r.count > 0 && wire.Op(r.records[0]) == wire.Lost {
		r.lost-- // counted when it was appended
	}
	r.count, r.records = 0, r.records[:0]
}

// take moves the records to b, whose room the ring uses from now on. It returns false
// if there are none.
func (r *ring) take(b *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return false
	}
	spare := b.records[:0]
	*b = r.batch
	r.count, r.records = 0, spare
	return true
}

func (r *ring) lostSoFar() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// next cuts a message of at most n records off the front of b.
func (b *batch) next(n int) (m batch) {
	n = min(n, b.count)
	size := 0
	for range n {
		op := wire.Op(b.records[size])
		size += wire.RecordSize
		if op == wire.FlushPrefix {
			size += 1 + int(b.records[size])
		}
	}
	m = batch{b.first, n, b.records[:size]}
	b.first, b.count, b.records = b.first+uint64(n), b.count-n, b.records[size:]
	return m
}
