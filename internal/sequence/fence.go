package sequence

import (
	"slices"
	"time"
)

// Fence bounds the age of a receiver's state by round trips. It follows one or
// more lanes, each numbered for itself. The zero Fence is never fresh.
type Fence struct {
	nonce   uint64
	asked   time.Time // when the open question was asked; zero if there is none
	open    bool      // answered, and not reached yet
	openAt  time.Time // when the answered question was asked
	targets []uint64
	have    []uint64
	fresh   time.Time
}

// Ask opens a question at the receiver's monotonic time now and returns its
// nonce. An earlier question without an answer is forgotten.
func (f *Fence) Ask(now time.Time) uint64 {
	f.nonce++
	f.asked = now
	return f.nonce
}

// Answer takes the lanes' numbers as the publisher reported them. It reports
// whether the answer belongs to the open question. The Fence keeps a copy of
// targets.
func (f *Fence) Answer(nonce uint64, targets ...uint64) bool {
	if f.asked.IsZero() || nonce != f.nonce {
		return false
	}
	// An older answer that is not reached yet stays: replacing it each time
	// would move the target away from a receiver that is always a little late.
	if !f.open {
		f.open, f.openAt = true, f.asked
		f.targets = append(f.targets[:0], targets...)
	}
	f.asked = time.Time{}
	f.check()
	return true
}

// Advance records that everything up to n in a lane has been accepted.
func (f *Fence) Advance(lane int, n uint64) {
	for len(f.have) <= lane {
		f.have = append(f.have, 0)
	}
	f.have[lane] = n
	f.check()
}

func (f *Fence) check() {
	if !f.open {
		return
	}
	for lane, target := range f.targets {
		if lane >= len(f.have) || f.have[lane] < target {
			return
		}
	}
	f.open, f.fresh = false, f.openAt
}

// Fresh returns the latest moment for which the state is known to be complete.
// It is zero if there is none.
func (f *Fence) Fresh() time.Time { return f.fresh }

// Reset forgets everything but the nonce: the publisher restarted.
func (f *Fence) Reset() { *f = Fence{nonce: f.nonce, targets: f.targets[:0], have: f.have[:0]} }

// Clone returns a copy that shares nothing with f, for tests that explore what can
// follow a state.
func (f *Fence) Clone() Fence {
	c := *f
	c.targets, c.have = slices.Clone(f.targets), slices.Clone(f.have)
	return c
}
