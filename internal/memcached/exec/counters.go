package exec

import (
	"sync/atomic"

	"lintel.dev/internal/memcached/store"
)

// Counter is a counter of stats. Those kept for each size class have a type of
// their own, [ClassCounter].
type Counter int

// The counters.
const (
	CmdFlush Counter = iota
	CmdMeta
	GetMisses
	GetExpired
	GetFlushed
	DeleteMisses
	IncrMisses
	DecrMisses
	CASMisses
	TouchMisses
	StoreTooLarge
	StoreNoMemory
	AuthCmds
	AuthErrors
	ConnYields
	ReadBufOOM
	RespOOM
	Malformed

	classBase // the counters of the size classes follow
)

// ClassCounter is a counter that is kept for each size class.
type ClassCounter int

// The counters of a size class. Hits and misses of a kind add up to cmd_get and
// cmd_touch.
const (
	GetHits ClassCounter = iota
	Sets
	DeleteHits
	IncrHits
	DecrHits
	CASHits
	CASBad
	TouchHits
	classKinds
)

const numCounters = int(classBase) + int(classKinds)*(store.Classes+1)

func classIndex(c ClassCounter, class int) int {
	return int(classBase) + class*int(classKinds) + int(c)
}

// loopCounters are the counters of one event loop. Only the sums over all loops
// have a meaning: a connection may count in any of them.
type loopCounters struct {
	n       [numCounters]atomic.Uint64
	latency [numKinds]histogram
	_       [64]byte // keeps the next loop's counters on another cache line
}

// Total returns the sum of c over all loops.
func (e *Engine) Total(c Counter) uint64 { return e.sum(int(c)) }

func (e *Engine) sum(i int) (sum uint64) {
	for l := range e.loops {
		sum += e.loops[l].n[i].Load()
	}
	return sum
}

// ClassTotal returns the sum of c over all loops and classes.
func (e *Engine) ClassTotal(c ClassCounter) (sum uint64) {
	for class := range store.Classes + 1 {
		sum += e.sum(classIndex(c, class))
	}
	return sum
}

func (e *Engine) resetCounters() {
	for l := range e.loops {
		for i := range e.loops[l].n {
			e.loops[l].n[i].Store(0)
		}
	}
}

// Counts are the counts of one batch. They are added to those of the event loop
// when the batch ends, so that a command costs no atomic operation.
type Counts struct {
	n       [numCounters]uint32
	touched []uint16 // the counters that are not 0
}

// Count adds one to c.
func (t *Counts) Count(c Counter) { t.add(int(c)) }

// countClass adds one to c of the class of an item of size bytes.
func (t *Counts) countClass(c ClassCounter, size int) {
	t.add(classIndex(c, store.ClassOf(size)))
}

func (t *Counts) add(i int) {
	if t.n[i] == 0 {
		t.touched = append(t.touched, uint16(i))
	}
	t.n[i]++
}

// publish adds the counts to those of a loop and sets them to 0.
func (t *Counts) publish(l *loopCounters) {
	for _, i := range t.touched {
		l.n[i].Add(uint64(t.n[i]))
		t.n[i] = 0
	}
	t.touched = t.touched[:0]
}
