package state

import (
	"math"
	"time"
)

// entry is a valid key. Its blob is the key, followed by the value.
type entry struct {
	blob  string
	hash  uint64
	src   *Source
	gen   uint64 // of src, when it was asked for
	cas   uint64
	asked int64  // when the server was asked
	ms    uint32 // served for so long, in milliseconds from asked on; noEnd is no bound
	ttl   uint32 // see Value.TTL
	flags uint32
	fleet uint32 // version of the placement by which src is the key's server

	self       uint32 // number of the entry
	prev, next uint32 // neighbours in its queue; next is also the list of free entries
	keyLen     uint8
	freq       uint8 // hits since it was queued, at most maxFreq
	main       bool  // in the main queue
	missing    bool
}

const (
	maxFreq = 3
	noEnd   = math.MaxUint32
	// entryCost is the memory of an entry beside its key and value in bytes: the
	// entry, its share of the index and of the ghost.
	entryCost = 88 + 16
)

func (e *entry) key() string { return e.blob[:e.keyLen] }

func (e *entry) value() Value {
	return Value{Data: e.blob[e.keyLen:], Flags: e.flags, CAS: e.cas, Missing: e.missing, TTL: e.ttl}
}

func (e *entry) cost() int64 { return entryCost + int64(len(e.blob)) }

// life returns the time in nanoseconds after asked for which e is served.
func (e *entry) life() int64 {
	if e.ms == noEnd {
		return math.MaxInt64
	}
	return int64(e.ms) * int64(time.Millisecond)
}

// setLife sets the life to the shorter of ttl seconds and maxAge nanoseconds. What
// does not fit is cut to 49 days: the server is asked again then.
func (e *entry) setLife(ttl uint32, maxAge int64) {
	ms := int64(math.MaxInt64)
	if ttl != Unlimited {
		ms = int64(ttl) * 1000
	}
	if maxAge > 0 {
		ms = min(ms, maxAge/int64(time.Millisecond))
	}
	e.ttl = ttl
	switch {
	case ms == math.MaxInt64:
		e.ms = noEnd
	default:
		e.ms = uint32(min(ms, noEnd-1))
	}
}

// chunkLen is the number of entries that are allocated together: 16 fill a size
// class of the Go heap.
const chunkLen = 16

// queues keeps entries by hash and evicts them by S3-FIFO: new entries go to a
// small queue. From its front, entries that were hit move to the main queue; the
// others are evicted and remembered by the ghost. An entry that the ghost
// remembers goes to the main queue at once. From the front of the main queue,
// entries that were hit since are queued again. Entry 0 is the end of both rings.
type queues struct {
	chunks [][]entry
	free   uint32 // first free entry, or 0
	used   int
	index  []uint32 // open addressing with linear probing; 0 is empty
	ghost  []uint32 // by hash, the rest of the hash of an evicted entry

	small, mainQ ring
	maxBytes     int64
	bytes        int64
	evicted      uint64
}

// ring is a queue of entries: first is evicted next.
type ring struct {
	first, last uint32
	bytes       int64
}

func (q *queues) at(n uint32) *entry { return &q.chunks[n/chunkLen][n%chunkLen] }

// find returns the entry with this hash, or nil.
func (q *queues) find(hash uint64) *entry {
	if len(q.index) == 0 {
		return nil
	}
	mask := uint64(len(q.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		n := q.index[i]
		if n == 0 {
			return nil
		}
		if e := q.at(n); e.hash == hash {
			return e
		}
	}
}

// insert returns a new empty entry for hash, which has none.
func (q *queues) insert(hash uint64) *entry {
	if (q.used+1)*4 > len(q.index)*3 {
		q.grow()
	}
	if q.free == 0 {
		base := uint32(len(q.chunks)) * chunkLen
		q.chunks = append(q.chunks, make([]entry, chunkLen))
		for n := base + chunkLen - 1; n > base || n == base && base > 0; n-- {
			e := q.at(n)
			e.self, e.next = n, q.free
			q.free = n
		}
	}
	e := q.at(q.free)
	q.free = e.next
	*e = entry{hash: hash, self: e.self, main: q.remembered(hash)}
	q.used++
	q.bytes += entryCost
	q.place(e.self)
	q.push(e)
	return e
}

// place puts entry n into the index.
func (q *queues) place(n uint32) {
	mask := uint64(len(q.index) - 1)
	i := q.at(n).hash & mask
	for q.index[i] != 0 {
		i = (i + 1) & mask
	}
	q.index[i] = n
}

// grow doubles the index and the ghost. The ghost forgets: evictions begin after
// the table has grown.
func (q *queues) grow() {
	old := q.index
	q.index = make([]uint32, max(2*len(old), 16))
	q.ghost = make([]uint32, len(q.index))
	for _, n := range old {
		if n != 0 {
			q.place(n)
		}
	}
}

// remove removes e.
func (q *queues) remove(e *entry) {
	q.unlink(e)
	q.used--
	q.bytes -= e.cost()
	mask := uint64(len(q.index) - 1)
	hole := e.hash & mask
	for q.index[hole] != e.self {
		hole = (hole + 1) & mask
	}
	// Entries behind the hole move into it, unless they would be before the place
	// at which the search for them begins.
	for i := (hole + 1) & mask; q.index[i] != 0; i = (i + 1) & mask {
		home := q.at(q.index[i]).hash & mask
		if (i-home)&mask >= (i-hole)&mask {
			q.index[hole] = q.index[i]
			hole = i
		}
	}
	q.index[hole] = 0
	*e = entry{self: e.self, next: q.free}
	q.free = e.self
}

// put sets key and value of e.
func (q *queues) put(e *entry, key string, v Value) {
	was := e.cost()
	e.blob, e.keyLen = key+v.Data, uint8(len(key))
	e.flags, e.cas, e.missing = v.Flags, v.CAS, v.Missing
	q.bytes += e.cost() - was
	q.ring(e).bytes += e.cost() - was
}

func (q *queues) ring(e *entry) *ring {
	if e.main {
		return &q.mainQ
	}
	return &q.small
}

// push puts e at the end of its queue.
func (q *queues) push(e *entry) {
	r := q.ring(e)
	e.prev, e.next = r.last, 0
	if r.last == 0 {
		r.first = e.self
	} else {
		q.at(r.last).next = e.self
	}
	r.last = e.self
	r.bytes += e.cost()
}

func (q *queues) unlink(e *entry) {
	r := q.ring(e)
	if e.prev == 0 {
		r.first = e.next
	} else {
		q.at(e.prev).next = e.next
	}
	if e.next == 0 {
		r.last = e.prev
	} else {
		q.at(e.next).prev = e.prev
	}
	r.bytes -= e.cost()
}

// smallShare is the share of the memory that the small queue may have, as a
// divisor.
const smallShare = 10

// evict makes room. keep stays.
func (q *queues) evict(keep *entry) {
	// done reports that the ring has no entry to examine.
	done := func(r *ring) bool { return r.first == r.last && (r.first == 0 || r.first == keep.self) }
	for q.bytes > q.maxBytes && q.used > 1 {
		r := &q.small
		if done(r) || !done(&q.mainQ) && r.bytes <= q.maxBytes/smallShare {
			r = &q.mainQ
		}
		e := q.at(r.first)
		switch {
		case e == keep:
			q.unlink(e)
			q.push(e)
		case e.freq == 0:
			q.drop(e)
		default:
			q.unlink(e)
			if e.main {
				e.freq--
			} else {
				e.main, e.freq = true, 0
			}
			q.push(e)
		}
	}
}

// drop evicts e.
func (q *queues) drop(e *entry) {
	if !e.main {
		q.ghost[q.ghostSlot(e.hash)] = ghostTag(e.hash)
	}
	q.remove(e)
	q.evicted++
}

func (q *queues) ghostSlot(hash uint64) uint64 { return hash & uint64(len(q.ghost)-1) }

func ghostTag(hash uint64) uint32 { return uint32(hash>>32) | 1 }

// remember lets the ghost remember an entry that is removed but was in use, so
// that it comes back to the main queue.
func (q *queues) remember(hash uint64, e *entry) {
	if e.main || e.freq > 0 {
		q.ghost[q.ghostSlot(hash)] = ghostTag(hash)
	}
}

// remembered reports whether the ghost remembers hash, and forgets it.
func (q *queues) remembered(hash uint64) bool {
	g := &q.ghost[q.ghostSlot(hash)]
	if *g != ghostTag(hash) {
		return false
	}
	*g = 0
	return true
}
