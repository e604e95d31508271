package exec

import "lintel.dev/internal/memcached/netloop"

// Replies is where front ends append the replies of a batch.
type Replies struct {
	W *netloop.Writer

	// Settled is how much of W.B must not be withdrawn any more: replies of
	// earlier batches, or before an mn.
	Settled int

	waiting int // replies of this batch
	limit   int // bound of waiting, 0 is none
}

// start takes the replies of a new batch.
func (r *Replies) start(w *netloop.Writer, limit int) {
	*r = Replies{W: w, Settled: len(w.B), limit: limit}
}

// Reply appends a text line.
func (r *Replies) Reply(line string) {
	r.W.B = append(append(r.W.B, line...), '\r', '\n')
}

// Answer appends a text line unless quiet is set.
func (r *Replies) Answer(quiet bool, line string) {
	if !quiet {
		r.Reply(line)
	}
}

// Bounded reports whether ReadBufferLimit bounds the replies of a batch.
func (r *Replies) Bounded() bool { return r.limit > 0 }

// Reserve counts n replies of a bounded batch. It returns false if they are more
// than may wait.
func (r *Replies) Reserve(n int) bool {
	r.waiting += n
	return r.waiting <= r.limit
}

// Forget restarts the count of Reserve.
func (r *Replies) Forget() { r.waiting = 0 }
