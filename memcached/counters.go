package memcached

import (
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/store"
)

// The counters of a server, by what stats calls them.
const (
	cmdGet = iota
	cmdSet
	cmdFlush
	cmdTouch
	cmdMeta
	getMisses
	getExpired
	getFlushed
	deleteMisses
	incrMisses
	decrMisses
	casMisses
	touchMisses
	storeTooLarge
	storeNoMemory
	authCmds
	authErrors
	connYields
	readBufOOM
	respOOM
	malformed

	// From here on there is one of each for every size class; index with
	// classCounter.
	classBase
)

// The counters kept by size class.
const (
	classGetHits = iota
	classSets
	classDeleteHits
	classIncrHits
	classDecrHits
	classCASHits
	classCASBad
	classTouchHits
	classKinds
)

const numCounters = classBase + classKinds*(store.Classes+1)

func classCounter(kind, class int) int { return classBase + class*classKinds + kind }

// tallies are the counters of one event loop. Only sums over all loops mean
// anything: a connection may count in any of them.
type tallies struct {
	n       [numCounters]atomic.Uint64
	latency [numCommands]histogram
	_       [64]byte // the next loop's are on another cache line
}

// total adds up counter i over all loops.
func (s *Server) total(i int) (sum uint64) {
	for l := range s.tallies {
		sum += s.tallies[l].n[i].Load()
	}
	return sum
}

// classTotal adds up a class counter over all loops and classes.
func (s *Server) classTotal(kind int) (sum uint64) {
	for class := range store.Classes + 1 {
		sum += s.total(classCounter(kind, class))
	}
	return sum
}

func (s *Server) resetCounters() {
	for l := range s.tallies {
		for i := range s.tallies[l].n {
			s.tallies[l].n[i].Store(0)
		}
	}
}

// count adds one to counter i, at the end of the turn.
func (t *turn) count(i int) {
	if t.n[i] == 0 {
		t.touched = append(t.touched, uint16(i))
	}
	t.n[i]++
}

// countClass adds one to a counter of the class of an item of size bytes.
func (t *turn) countClass(kind, size int) {
	t.count(classCounter(kind, store.ClassOf(size)))
}

// settle moves the turn's counts to its loop's.
func (t *turn) settle() {
	for _, i := range t.touched {
		t.loop.n[i].Add(uint64(t.n[i]))
		t.n[i] = 0
	}
	t.touched = t.touched[:0]
}

// The kinds of command whose latency is kept apart.
const (
	kindGet = iota
	kindSet
	kindDelete
	kindArith
	kindTouch
	kindMetaGet
	kindMetaSet
	kindMetaDelete
	kindMetaArith
	kindOther
	numCommands
)

var kindNames = [numCommands]string{"get", "set", "delete", "incr", "touch", "mg", "ms", "md", "ma", "other"}

// bounds are the upper bounds of the latency buckets: 1 us to about 1 s in
// powers of two; one more bucket takes what is slower.
const numBounds = 21

// Bounds returns the upper bounds of the buckets of a [Latency], in order.
func Bounds() []time.Duration {
	b := make([]time.Duration, numBounds)
	for i := range b {
		b[i] = time.Microsecond << i
	}
	return b
}

type histogram struct {
	bucket [numBounds + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < numBounds && d > time.Microsecond<<i {
		i++
	}
	h.bucket[i].Add(1)
	h.sum.Add(int64(d))
}

// Latency is how long the commands of one kind took, from the moment the
// server began with one to its reply being ready to be sent.
type Latency struct {
	Command string        // get, set, delete, incr, touch, mg, ms, md, ma or other
	Count   uint64        // how many
	Sum     time.Duration // the time of all together
	Buckets []uint64      // how many took no longer than the bound of the same index in Bounds, and, last, how many longer; not cumulative
}

// Latency returns the histograms of all kinds of command. They are empty
// unless Options.TrackLatency is set.
func (s *Server) Latency() []Latency {
	all := make([]Latency, numCommands)
	for kind := range all {
		l := Latency{Command: kindNames[kind], Buckets: make([]uint64, numBounds+1)}
		for i := range s.tallies {
			h := &s.tallies[i].latency[kind]
			l.Sum += time.Duration(h.sum.Load())
			for b := range h.bucket {
				n := h.bucket[b].Load()
				l.Buckets[b] += n
				l.Count += n
			}
		}
		all[kind] = l
	}
	return all
}
