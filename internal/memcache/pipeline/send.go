package pipeline

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	inlineLimit = 16 << 10 // most bytes in flight beside which a caller writes itself
	fewInflight = 8        // most requests in flight, likewise
	keepPending = 256 << 10
	maxPending  = 1 << 20 // bytes waiting to be written
	maxInflight = 1 << 16 // requests waiting for their reply
)

// sendQueue collects requests and writes them. It has one writer at a time, which
// writes until nothing is pending: requests that are queued during a write share the
// next one.
type sendQueue struct {
	c      *Conn
	inline bool // a write does not block while little is in flight

	mu      sync.Mutex    // protects what follows, and the watchdog's state
	pending []byte        // encoded requests that are not being written yet
	spare   []byte        // an empty buffer to take pending's place
	calls   []*Call       // requests that the reply reader has not taken over
	spares  []*Call       // an empty slice to take the place of calls
	opaque  uint64        // of the next request
	taken   uint64        // bytes that were ever added to pending
	writing bool          // there is a writer, or the writer goroutine was woken
	closed  bool          // no more requests are accepted
	err     error         // why the connection failed
	space   chan struct{} // closed when the queue has room again; nil if no caller waits

	wrote    atomic.Uint64 // bytes given to the socket
	replied  atomic.Uint64 // end of the last request that has its reply
	inflight atomic.Int64  // requests without a reply
	draining atomic.Bool   // the connection ends when nothing is in flight
	crowded  atomic.Bool   // the last read brought several replies
	wake     chan struct{} // wakes the writer goroutine
}

func (q *sendQueue) init(c *Conn) {
	q.c = c
	q.wake = make(chan struct{}, 1)
}

// Send queues the request and writes it, unless a writer is active that will. It
// returns ErrUnsent if the connection does not accept requests, and ErrBusy if the
// queue is full: space is then closed when it has room again.
func (c *Conn) Send(cl *Call) (space <-chan struct{}, err error) {
	q := &c.queue
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil, ErrUnsent
	}
	if c.reader.idleProbe != nil && !(c.Meta && cl.Op <= lastIdempotent) {
		if err := c.reader.probe(); err != nil {
			q.mu.Unlock()
			c.fail(err)
			c.reader.release()
			return nil, ErrUnsent
		}
	}
	if len(q.pending) >= maxPending || q.inflight.Load() >= maxInflight {
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space = q.space
		q.mu.Unlock()
		return space, ErrBusy
	}
	cl.opaque = q.opaque
	q.opaque += uint64(max(len(cl.Keys), 1)) // one for each key
	cl.start = q.taken
	before := len(q.pending)
	if c.Meta {
		q.pending = cl.appendMeta(q.pending)
	} else {
		q.pending = cl.appendClassic(q.pending)
	}
	q.taken += uint64(len(q.pending) - before)
	cl.end = q.taken
	cl.refs.Add(1)
	q.calls = append(q.calls, cl)
	n := q.inflight.Add(1)
	if n == 1 {
		c.dog.advance()
	}
	if !c.dog.armed {
		c.dog.armed = true
		c.dog.timer.Reset(c.dog.beat)
	}
	if q.writing {
		q.mu.Unlock()
		return nil, nil
	}
	q.writing = true
	c.dog.started = c.dog.tick.Load()
	// Requests that have a reply have left the kernel's buffers. A short request
	// therefore does not block while little else is in flight, and the caller writes
	// it. If replies come several at a time, many callers are active, and the writer
	// goroutine batches their requests.
	if q.inline && n <= fewInflight && !q.crowded.Load() && q.taken-q.replied.Load() <= inlineLimit {
		if !q.write() {
			q.mu.Unlock()
			return nil, nil
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil, nil
}

// write writes what is pending. It reports whether more is pending afterwards; if not,
// the caller is no longer the writer. mu is held on entry and on return, but not
// during the write.
func (q *sendQueue) write() (more bool) {
	if len(q.pending) == 0 || q.err != nil {
		q.writing = false
		return false
	}
	buf := q.pending
	q.pending, q.spare = q.spare[:0], nil
	q.c.dog.started = q.c.dog.tick.Load()
	// Counted before: the server may act on the bytes before Write returns.
	q.wrote.Add(uint64(len(buf)))
	q.mu.Unlock()
	_, err := q.c.nc.Write(buf)
	if err != nil {
		q.c.fail(lost(err))
	}
	q.mu.Lock()
	if cap(buf) <= keepPending {
		q.spare = buf
	}
	if q.space != nil {
		q.signalSpace()
	}
	q.writing = len(q.pending) > 0
	q.c.dog.started = q.c.dog.tick.Load()
	return q.writing
}

// signalSpace wakes callers that wait for room. mu is held.
func (q *sendQueue) signalSpace() {
	if q.space != nil && q.inflight.Load() < maxInflight {
		close(q.space)
		q.space = nil
	}
}

// run is the writer goroutine.
func (q *sendQueue) run() {
	for {
		select {
		case <-q.wake:
		case <-q.c.done:
			return
		}
		// Callers that the last replies woke queue their next requests first, so
		// that these share the write.
		runtime.Gosched()
		q.mu.Lock()
		for q.write() {
		}
		q.mu.Unlock()
	}
}

// claim hands the queued calls to the reply reader, which returns an empty slice for
// them.
func (q *sendQueue) claim(empty []*Call) []*Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	calls := q.calls
	q.calls, q.spares = q.spares[:0], empty
	return calls
}

// end ends the queue of a failed connection. It returns the calls that the reply
// reader has not claimed, and the reason of the failure.
func (q *sendQueue) end() ([]*Call, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := q.calls
	q.calls = nil
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
	return rest, q.err
}
