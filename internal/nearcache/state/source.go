package state

import (
	"math"
	"sync/atomic"
)

// never is the time before all others.
const never = math.MinInt64 / 2

// Source is the state of one server that readers need. All times are in
// nanoseconds of one monotonic clock.
type Source struct {
	// Name is the server's address.
	Name string

	gen   atomic.Uint64
	fresh atomic.Int64
}

// NewSource returns a Source of which nothing is known.
func NewSource(name string) *Source {
	s := &Source{Name: name}
	s.fresh.Store(never)
	return s
}

// Suspect makes every entry of the source unusable until the server confirms it,
// and voids the replies to questions that were asked before.
func (s *Source) Suspect() { s.gen.Add(1) }

// Fresh returns the time up to which all changes of the server are known.
// ok is false if there is none.
func (s *Source) Fresh() (at int64, ok bool) {
	at = s.fresh.Load()
	return at, at != never
}
