package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"
)

// watchdog closes the connection when a write or a reply is overdue. It runs only
// while something is in flight: a timer counts beats, and the other parts note the
// beat in which they made progress, so that the hot path reads no clock. sendQueue.mu
// protects armed, beat and started.
type watchdog struct {
	c                     *Conn
	timer                 *time.Timer
	beat                  time.Duration // a quarter of the shorter timeout
	readBeats, writeBeats uint32        // the timeouts in beats

	armed    bool          // the timer runs
	started  uint32        // beat in which the current write began or was asked for
	tick     atomic.Uint32 // beats so far
	progress atomic.Uint32 // beat in which something of a reply last arrived
}

func (w *watchdog) init(c *Conn, read, write time.Duration) {
	w.c = c
	w.beat = min(read, write) / 4
	w.readBeats = uint32((read + w.beat - 1) / w.beat)
	w.writeBeats = uint32((write + w.beat - 1) / w.beat)
	w.timer = time.AfterFunc(time.Hour, w.check)
	w.timer.Stop()
}

// advance notes that something of a reply arrived.
func (w *watchdog) advance() { w.progress.Store(w.tick.Load()) }

// check is called every beat.
func (w *watchdog) check() {
	q := &w.c.queue
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return
	}
	tick, inflight := w.tick.Add(1), q.inflight.Load()
	var err error
	switch {
	case q.writing && tick-w.started > w.writeBeats:
		err = fmt.Errorf("%w: the server does not accept requests", ErrTimeout)
	case inflight > 0 && tick-w.progress.Load() > w.readBeats:
		err = fmt.Errorf("%w: the server does not answer%s", ErrTimeout, w.c.hint())
	case inflight > 0 || q.writing:
		w.c.reader.wake()
		w.timer.Reset(w.beat)
	case w.c.reader.owner.Load() != byReader && tick-w.progress.Load() < 2:
		w.timer.Reset(w.beat)
	default:
		w.c.reader.wake()
		w.armed = false
	}
	q.mu.Unlock()
	if err != nil {
		w.c.fail(err)
	}
}
