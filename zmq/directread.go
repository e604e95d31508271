package zmq

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"time"
)

// A socket with a single connection and a single receiver spends most of a
// short exchange on handing over from the goroutine that reads the connection
// to the one that receives. So a receiver that keeps finding nothing reads the
// connection itself: the link's goroutine lends it the reader, and takes it
// back when receivers stay away, when there are several, or when somebody else
// must be told of what arrives.
//
// To end a wait on either side the other sets a read deadline that has passed.
// Whoever finds that removes it. Deadlines are set and removed with the receive
// lock held.

// alone is what a core knows of it; the receive lock protects it.
type alone struct {
	r      *reader         // lent to receivers, nil if none is
	busy   bool            // a receiver reads at this moment
	ended  bool            // it was told to stop
	done   <-chan struct{} // of the context that the link's goroutine watches for it
	turn   uint64          // counts the waits of receivers
	err    error           // what ended the connection while they read
	asleep bool            // the watch looks for an absent receiver only when told

	parks  int             // waits of receivers since they read last
	sought bool            // the one receiver that waits asked for the reader
	want   <-chan struct{} // done of its context
}

const (
	// lonePatience is how often a receiver waits before it asks to read itself.
	lonePatience = 8
	// loneAbsence is how long receivers may stay away: as long, at most twice,
	// a disconnection or a heartbeat goes unnoticed.
	loneAbsence = 10 * time.Millisecond
	// crowded is how many more waits it takes when there was more than one
	// receiver.
	crowded = 1000
)

var past = time.Unix(1, 0)

// seek asks for the reader, for a receiver that is about to park, and reports
// whether it did. The receiver may then be woken to read. The receive lock is
// held.
func (h *recvHalf) seek(ctx context.Context) (asked bool) {
	a := &h.alone
	if h.waiters.Any() {
		h.stopAlone()
		a.parks = min(a.parks, -crowded)
	}
	if a.parks++; a.parks < lonePatience || a.r != nil || h.timeout >= 0 {
		return false
	}
	l := h.onlyLink()
	if l == nil {
		return false
	}
	a.sought, a.want = true, ctx.Done()
	l.conn.SetReadDeadline(past)
	return true
}

// onlyLink is the connection that a receiver could read: the socket's only
// one. The receive lock is held.
func (h *recvHalf) onlyLink() *link {
	p, ok := h.fq.ring.Only()
	if !ok || len(h.watchers) > 0 || h.err != nil {
		return nil
	}
	if l := p.link.Load(); l != nil && l.raw != nil {
		return l
	}
	return nil
}

// lend is called by the link's goroutine when somebody ended its wait. It
// returns when the reader is its own again.
func (r *reader) lend() error {
	h, l := &r.l.s.recv, r.l
	a := &h.alone
	h.Lock()
	l.conn.SetReadDeadline(time.Time{})
	if !a.sought || !h.waiters.One() || h.onlyLink() != l {
		h.Unlock()
		return nil
	}
	a.r, a.done, a.err, a.asleep = r, a.want, nil, false
	done, turn := a.done, a.turn
	h.waiters.Wake()
	h.Unlock()

	absent.watch(r, turn)
	defer absent.forget(r)
	dead := l.dead
	for {
		select {
		case <-l.back:
			return r.returned()
		case <-dead:
			// A receiver at work will find that the connection is closed.
			dead = nil
		case <-done:
			done = nil
		}
		h.Lock()
		if done == nil {
			a.done = nil
		}
		h.stopAlone()
		h.Unlock()
	}
}

// returned is what a receiver found at the end of its reading.
func (r *reader) returned() error {
	h := &r.l.s.recv
	h.Lock()
	defer h.Unlock()
	err := h.alone.err
	h.alone.err = nil
	return err
}

// stopAlone gives a lent reader back, at once or as soon as the receiver at
// work notices. The receive lock is held.
func (h *recvHalf) stopAlone() {
	a := &h.alone
	switch {
	case a.r == nil:
	case a.busy:
		a.ended = true
		a.r.l.conn.SetReadDeadline(past)
	default:
		h.giveBack()
	}
}

// giveBack gives the reader back to the link's goroutine. The receive lock is
// held.
func (h *recvHalf) giveBack() {
	a := &h.alone
	if a.ended {
		a.ended = false
		a.r.l.conn.SetReadDeadline(time.Time{})
	}
	l := a.r.l
	a.r, a.done, a.parks = nil, nil, min(a.parks, 0)
	l.back <- struct{}{}
}

// directCall is one read of the connection by a receiver.
type directCall struct {
	h      *recvHalf
	r      *reader
	ctx    context.Context
	turn   uint64
	watch  bool // ctx may end the read
	noWait bool
}

// beginDirect takes the lent reader for a receiver that found nothing. run must
// follow. The receive lock is held.
func (h *recvHalf) beginDirect(ctx context.Context) (d directCall, ok bool) {
	a := &h.alone
	if a.busy || h.timeout > 0 || ctx.Err() != nil {
		h.stopAlone()
		if a.busy {
			a.parks = min(a.parks, -crowded)
		}
		return d, false
	}
	a.busy = true
	a.turn++
	a.parks = 0
	done := ctx.Done()
	noWait := ctx == try || h.timeout == 0
	return directCall{
		h: h, r: a.r, ctx: ctx, turn: a.turn,
		watch: !noWait && done != nil && done != a.done, noWait: noWait,
	}, true
}

// run reads the connection until something has arrived. It reports false if
// nothing did, because the call must not wait. The receive lock is not held.
func (d *directCall) run() bool {
	h, r := d.h, d.r
	a := &h.alone
	var stop func() bool
	if d.watch {
		stop = h.stopAfter(d.ctx, d.turn)
	}
	r.noWait = d.noWait
	err := r.lone()
	r.noWait = false
	if stop != nil {
		stop()
	}

	h.Lock()
	defer h.Unlock()
	a.busy = false
	if err != nil && err != errAgain && !errors.Is(err, os.ErrDeadlineExceeded) {
		a.err = err
	}
	switch {
	case a.ended || a.err != nil || h.waiters.Any():
		h.giveBack()
	case a.asleep:
		a.asleep = false
		absent.watch(r, a.turn)
	}
	return err != errAgain
}

// stopAfter ends the read of a turn when ctx is done.
func (h *recvHalf) stopAfter(ctx context.Context, turn uint64) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		h.Lock()
		defer h.Unlock()
		if h.alone.busy && h.alone.turn == turn {
			h.stopAlone()
		}
	})
}

// lone reads until something was handed over.
func (r *reader) lone() error {
	for {
		if err := r.read(); err != nil {
			return err
		}
		if err := r.decode(); err != nil {
			_, _, _ = r.handOver()
			return err
		}
		if some, _, err := r.handOver(); some || err != nil {
			return err
		}
	}
}

// absent looks for lent readers that nobody uses. It is one goroutine for all
// of them, so that many busy sockets do not wake as many goroutines to find that
// nothing is wrong.
var absent absentees

type absentees struct {
	mu sync.Mutex // taken with receive locks held, never the reverse
	// The fields below are protected by mu.
	turns   map[*reader]uint64 // when looked at last
	running bool
}

func (w *absentees) watch(r *reader, turn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns == nil {
		w.turns = make(map[*reader]uint64)
	}
	w.turns[r] = turn
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *absentees) forget(r *reader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.turns, r)
}

func (w *absentees) run() {
	for {
		time.Sleep(loneAbsence)
		w.mu.Lock()
		turns := maps.Clone(w.turns)
		w.running = len(turns) > 0
		w.mu.Unlock()
		if len(turns) == 0 {
			return
		}
		for r, turn := range turns {
			w.look(r, turn)
		}
	}
}

// look takes r back if no receiver came since turn. One that waits for long is
// left alone until it returns.
func (w *absentees) look(r *reader, turn uint64) {
	h := &r.l.s.recv
	h.Lock()
	defer h.Unlock()
	a := &h.alone
	if a.r != r {
		return
	}
	switch {
	case a.turn != turn:
		w.mu.Lock()
		if _, ok := w.turns[r]; ok {
			w.turns[r] = a.turn
		}
		w.mu.Unlock()
	case a.busy:
		a.asleep = true
		w.forget(r)
	default:
		h.stopAlone()
	}
}
