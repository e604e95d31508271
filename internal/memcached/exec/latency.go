package exec

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/hot"
)

// Kind is a kind of command that has a latency histogram of its own.
type Kind int

// The kinds.
const (
	KindGet Kind = iota
	KindSet
	KindDelete
	KindArith
	KindTouch
	KindMetaGet
	KindMetaSet
	KindMetaDelete
	KindMetaArith
	KindOther
	numKinds
)

var kindNames = [numKinds]string{"get", "set", "delete", "incr", "touch", "mg", "ms", "md", "ma", "other"}

// NumBounds is the number of bounds of a histogram: 1 us to about 1 s in powers
// of two. One more bucket counts what is slower.
const NumBounds = 21

// Bound returns the upper bound of bucket i, below NumBounds.
func Bound(i int) time.Duration { return time.Microsecond << i }

// bucketOf returns the bucket of a duration: the first whose bound is not below it.
func bucketOf(d time.Duration) int {
	if d <= time.Microsecond {
		return 0
	}
	return min(bits.Len64(uint64(d-1)/uint64(time.Microsecond)), NumBounds)
}

type histogram struct {
	bucket [NumBounds + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	h.bucket[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// StartCommand starts to measure a command, and decides whether its keys are sampled.
// The front end sets b.Kind.
func (b *Batch) StartCommand() {
	if !b.TrackLatency && !b.TrackKeys {
		return
	}
	b.Kind, b.began = KindOther, time.Now()
	if b.TrackKeys {
		if b.sampled = b.untilSample == 0; b.sampled {
			b.untilSample = nextSample()
		} else {
			b.untilSample--
		}
	}
}

// EndCommand records the time since StartCommand.
func (b *Batch) EndCommand() {
	if b.TrackLatency {
		b.loop.latency[b.Kind].observe(time.Since(b.began))
	}
}

// keySample is the number of commands of which one, at random, has its keys sampled.
const keySample = 32

// nextSample returns how many commands lie before the next one that is sampled.
func nextSample() int { return rand.IntN(2*keySample - 1) }

// sample counts the key of a sampled command.
func (b *Batch) sample(key []byte) { b.hot.Add(key, b.PrefixDelimiter, b.Clock.Now()) }

// Hottest returns the n keys and the n prefixes that are used most. There are none
// without Config.TrackKeys.
func (e *Engine) Hottest(n int) (keys, prefixes []hot.Demand) {
	if !e.TrackKeys {
		return nil, nil
	}
	return e.hot.Top(n, e.Clock.Now())
}

// Latency is the histogram of one kind of command.
type Latency struct {
	Command string
	Count   uint64
	Sum     time.Duration
	Buckets []uint64 // one more than NumBounds, not cumulative
}

// Latency returns the histograms of all kinds of command. They are empty unless
// Config.TrackLatency is set.
func (e *Engine) Latency() []Latency {
	all := make([]Latency, numKinds)
	for kind := range all {
		l := Latency{Command: kindNames[kind], Buckets: make([]uint64, NumBounds+1)}
		for i := range e.loops {
			h := &e.loops[i].latency[kind]
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
