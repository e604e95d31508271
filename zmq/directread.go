package zmq

// Direct read, the socket's half: a receiver that keeps finding nothing reads
// the only connection of its socket itself. The other half, and what it gains and
// costs, is in internal/zmq/engine/direct.go.
//
// A receiver asks for the reading half of the engine before it waits. While the
// half is lent, receivers read instead of waiting. It goes back when receivers
// stay away, when there are several, or when a poller or a second connection
// needs to know of what arrives.

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"time"

	"lintel.dev/internal/zmq/engine"
)

// directRead is the state of direct reads of a socket. The receive lock protects
// it.
type directRead struct {
	r       *engine.DirectReader // lent to receivers, nil if none is
	busy    bool                 // a receiver reads
	stopped bool                 // it was interrupted and will return r
	done    <-chan struct{}      // of the context of which the engine watches the end
	turn    uint64               // number of reads so far
	blocked bool                 // a read lasts long: the watcher has forgotten r

	parks  int             // waits of receivers since their last read
	sought bool            // the one receiver that waits asked for r
	want   <-chan struct{} // done of its context
}

const (
	// directAfter is how often a receiver waits before it asks to read.
	directAfter = 8
	// directAbsence is how long receivers may stay away. So long, at most twice, a
	// disconnection or a heartbeat goes unnoticed.
	directAbsence = 10 * time.Millisecond
	// crowded is how many more waits it takes when there was more than one
	// receiver.
	crowded = 1000
)

// seekDirect asks for the reading half, for a receiver that is about to park, and
// reports whether it did. The receiver is woken when the half is lent. The
// receive lock is held.
func (h *recvHalf) seekDirect(ctx context.Context) (asked bool) {
	d := &h.direct
	if h.waiters.Any() {
		h.stopDirect()
		d.parks = min(d.parks, -crowded)
	}
	if d.parks++; d.parks < directAfter || d.r != nil || h.timeout >= 0 {
		return false
	}
	p := h.onlyPipe()
	if p == nil {
		return false
	}
	e, ok := (*p.engine.Load()).(engine.Lender)
	if !ok || !e.Lend() {
		return false
	}
	d.sought, d.want = true, ctx.Done()
	return true
}

// onlyPipe returns the only pipe of the socket if only its receivers use what
// arrives. The receive lock is held.
func (h *recvHalf) onlyPipe() *pipe {
	p, ok := h.fq.ring.Only()
	if !ok || len(h.watchers) > 0 || h.err != nil || p.engine.Load() == nil {
		return nil
	}
	return p
}

// Borrow lends the reading half to the receiver that asked for it, if that still
// waits, alone.
func (x *session) Borrow(r *engine.DirectReader) (cancelled <-chan struct{}, ok bool) {
	h := &x.s.recv
	d := &h.direct
	h.Lock()
	defer h.Unlock()
	r.Offered()
	if !d.sought || !h.waiters.One() || h.onlyPipe() != x.p {
		return nil, false
	}
	d.r, d.done, d.blocked = r, d.want, false
	absence.watch(h, d.turn)
	h.waiters.Wake()
	return d.done, true
}

// Recall takes the reading half back: the context that the engine watches is
// done, or the connection has ended.
func (x *session) Recall(*engine.DirectReader) {
	h := &x.s.recv
	h.Lock()
	defer h.Unlock()
	h.direct.done = nil
	h.stopDirect()
}

// stopDirect returns a lent half, at once or as soon as the receiver that reads
// notices. The receive lock is held.
func (h *recvHalf) stopDirect() {
	d := &h.direct
	switch {
	case d.r == nil:
	case d.busy:
		d.stopped = true
		d.r.Interrupt()
	default:
		h.returnDirect(nil)
	}
}

// returnDirect returns the lent half, with the error that ended the connection.
// The receive lock is held.
func (h *recvHalf) returnDirect(err error) {
	d := &h.direct
	absence.forget(h)
	r := d.r
	d.r, d.done, d.stopped, d.parks = nil, nil, false, min(d.parks, 0)
	r.Return(err)
}

// directTurn is one read of the connection by a receiver.
type directTurn struct {
	h       *recvHalf
	r       *engine.DirectReader
	ctx     context.Context
	nr      uint64
	wait    bool
	watched bool // by the engine, which interrupts the read when ctx is done
}

// beginDirect takes the lent half for a receiver that found nothing. If it
// reports true, read must follow. The receive lock is held.
func (h *recvHalf) beginDirect(ctx context.Context) (t directTurn, ok bool) {
	d := &h.direct
	if d.busy || h.timeout > 0 || ctx.Err() != nil {
		h.stopDirect()
		if d.busy {
			d.parks = min(d.parks, -crowded)
		}
		return t, false
	}
	d.busy = true
	d.turn++
	d.parks = 0
	done := ctx.Done()
	return directTurn{
		h: h, r: d.r, ctx: ctx, nr: d.turn,
		wait: ctx != try && h.timeout != 0, watched: done == nil || done == d.done,
	}, true
}

// read reads the connection until something has arrived. It reports false if
// nothing is there and the receiver does not wait. The receive lock is not held.
func (t *directTurn) read() bool {
	h := t.h
	d := &h.direct
	var stop func() bool
	if t.wait && !t.watched {
		stop = h.stopAfter(t.ctx, t.nr)
	}
	err := t.r.Read(t.wait)
	if stop != nil {
		stop()
	}
	nothing := err == engine.ErrNothing
	if nothing || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // the connection goes on
	}

	h.Lock()
	defer h.Unlock()
	d.busy = false
	switch {
	case d.stopped || err != nil || h.waiters.Any():
		h.returnDirect(err)
	case d.blocked:
		d.blocked = false
		absence.watch(h, d.turn)
	}
	return !nothing
}

// stopAfter interrupts a read when ctx is done.
func (h *recvHalf) stopAfter(ctx context.Context, nr uint64) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		h.Lock()
		defer h.Unlock()
		if h.direct.busy && h.direct.turn == nr {
			h.stopDirect()
		}
	})
}

// absence finds lent halves that no receiver uses. One goroutine looks for all
// sockets, so that many busy ones do not wake as many goroutines.
var absence absenceWatcher

type absenceWatcher struct {
	mu sync.Mutex // taken with receive locks held, never the reverse
	// The fields below are protected by mu.
	turns   map[*recvHalf]uint64 // directRead.turn when it was looked at last
	running bool
}

// watch begins to look for the absence of receivers of h.
func (w *absenceWatcher) watch(h *recvHalf, turn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns == nil {
		w.turns = make(map[*recvHalf]uint64)
	}
	w.turns[h] = turn
	if !w.running {
		w.running = true
		go w.run()
	}
}

// forget ends watch.
func (w *absenceWatcher) forget(h *recvHalf) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.turns, h)
}

func (w *absenceWatcher) run() {
	for {
		time.Sleep(directAbsence)
		w.mu.Lock()
		turns := maps.Clone(w.turns)
		w.running = len(turns) > 0
		w.mu.Unlock()
		if len(turns) == 0 {
			return
		}
		for h, turn := range turns {
			w.look(h, turn)
		}
	}
}

// look returns the half lent to h if no receiver came since turn. One that reads
// for long is not looked at until it returns.
func (w *absenceWatcher) look(h *recvHalf, turn uint64) {
	h.Lock()
	defer h.Unlock()
	d := &h.direct
	switch {
	case d.r == nil:
	case d.turn != turn:
		w.watch(h, d.turn)
	case d.busy:
		d.blocked = true
		w.forget(h)
	default:
		h.stopDirect()
	}
}
