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

// seek asks for the reader, for a receiver that is about to wait. It comes when
// the receiver is woken, if it comes. The receive lock is held.
func (s *core) seek(ctx context.Context) {
	a := &s.alone
	if s.canRecv.Any() {
		s.stopAlone()
		a.parks = min(a.parks, -crowded)
	}
	if a.parks++; a.parks < lonePatience || a.r != nil || s.rcvTimeo >= 0 {
		return
	}
	if l := s.onlyLink(); l != nil {
		a.sought, a.want = true, ctx.Done()
		l.conn.SetReadDeadline(past)
	}
}

// onlyLink is the connection that a receiver could read: the socket's only
// one. The receive lock is held.
func (s *core) onlyLink() *link {
	p, ok := s.fq.Only()
	if !ok || len(s.watchers) > 0 || s.recvFailed != nil {
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
	s, l := r.l.s, r.l
	a := &s.alone
	s.recv.Lock()
	l.conn.SetReadDeadline(time.Time{})
	if !a.sought || !s.canRecv.One() || s.onlyLink() != l {
		s.recv.Unlock()
		return nil
	}
	a.r, a.done, a.err, a.asleep = r, a.want, nil, false
	done, turn := a.done, a.turn
	s.canRecv.Wake()
	s.recv.Unlock()

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
		s.recv.Lock()
		if done == nil {
			a.done = nil
		}
		s.stopAlone()
		s.recv.Unlock()
	}
}

// returned is what a receiver found at the end of its reading.
func (r *reader) returned() error {
	s := r.l.s
	s.recv.Lock()
	defer s.recv.Unlock()
	err := s.alone.err
	s.alone.err = nil
	return err
}

// stopAlone gives a lent reader back, at once or as soon as the receiver at
// work notices. The receive lock is held.
func (s *core) stopAlone() {
	a := &s.alone
	switch {
	case a.r == nil:
	case a.busy:
		a.ended = true
		a.r.l.conn.SetReadDeadline(past)
	default:
		s.giveBack()
	}
}

// giveBack gives the reader back to the link's goroutine. The receive lock is
// held.
func (s *core) giveBack() {
	a := &s.alone
	if a.ended {
		a.ended = false
		a.r.l.conn.SetReadDeadline(time.Time{})
	}
	l := a.r.l
	a.r, a.done, a.parks = nil, nil, min(a.parks, 0)
	l.back <- struct{}{}
}

// readAlone reads the connection until something has arrived, for a receiver
// that found nothing and to whom the reader is lent. The receive lock is held,
// but not meanwhile: unless it reports false, anything may have changed.
func (s *core) readAlone(ctx context.Context) bool {
	a := &s.alone
	r := a.r
	if a.busy || s.rcvTimeo > 0 || ctx.Err() != nil {
		s.stopAlone()
		if a.busy {
			a.parks = min(a.parks, -crowded)
		}
		return false
	}
	a.busy = true
	a.turn++
	a.parks = 0
	turn, done := a.turn, ctx.Done()
	watched := done == nil || done == a.done
	noWait := ctx == try || s.rcvTimeo == 0
	s.recv.Unlock()

	var stop func() bool
	if !watched && !noWait {
		stop = context.AfterFunc(ctx, func() {
			s.recv.Lock()
			defer s.recv.Unlock()
			if a.busy && a.turn == turn {
				s.stopAlone()
			}
		})
	}
	r.noWait = noWait
	err := r.lone()
	r.noWait = false
	if stop != nil {
		stop()
	}

	s.recv.Lock()
	a.busy = false
	if err != nil && err != errAgain && !errors.Is(err, os.ErrDeadlineExceeded) {
		a.err = err
	}
	switch {
	case a.ended || a.err != nil || s.canRecv.Any():
		s.giveBack()
	case a.asleep:
		a.asleep = false
		absent.watch(r, a.turn)
	}
	return err != errAgain
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
	s := r.l.s
	s.recv.Lock()
	defer s.recv.Unlock()
	a := &s.alone
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
		s.stopAlone()
	}
}
