package netloop

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// core is shared by the drivers of one Loop: the bound on connections and the
// counters.
type core struct {
	cfg   Config
	start time.Time
	tick  time.Duration // between checks of deadlines; 0 without any
	pacer pacer

	open          atomic.Int64
	accepted      atomic.Uint64
	rejected      atomic.Uint64
	bytesRead     atomic.Uint64
	bytesWritten  atomic.Uint64
	yields        atomic.Uint64
	idleKicks     atomic.Uint64
	slowKicks     atomic.Uint64
	panics        atomic.Uint64
	handshakes    atomic.Uint64
	badHandshakes atomic.Uint64

	// paused is the number of acceptors that wait for a connection to end. An
	// acceptor counts itself before it checks for room, so that ended misses none.
	paused atomic.Int32

	// gate guards what follows.
	gate      sync.Mutex
	freed     *sync.Cond // a connection ended, or closing was set
	waiting   []func()   // called once when a connection ends
	closing   bool
	pauses    uint64
	pausedFor time.Duration
	pausedAt  time.Time
}

func newCore(cfg Config) *core {
	c := &core{cfg: cfg, start: time.Now(), tick: cfg.tick()}
	c.pacer.free = handshakeSlots(cfg.Threads)
	c.freed = sync.NewCond(&c.gate)
	return c
}

// millis returns unix milliseconds on a monotonic clock: later changes of the
// system's time have no effect.
func (c *core) millis() int64 {
	return c.start.UnixMilli() + time.Since(c.start).Milliseconds()
}

// seconds returns the time of Conn.Active.
func (c *core) seconds() int64 {
	if c.cfg.Now != nil {
		return c.cfg.Now()
	}
	return c.millis() / 1000
}

// full reports whether MaxConns connections are open.
func (c *core) full() bool {
	return c.cfg.MaxConns > 0 && c.open.Load() >= int64(c.cfg.MaxConns)
}

// admit counts an accepted connection. It returns false if MaxConns are open.
func (c *core) admit() bool {
	for {
		n := c.open.Load()
		if c.cfg.MaxConns > 0 && n >= int64(c.cfg.MaxConns) {
			return false
		}
		if c.open.CompareAndSwap(n, n+1) {
			c.accepted.Add(1)
			return true
		}
	}
}

// adopted counts a connection to which MaxConns does not apply.
func (c *core) adopted() {
	c.open.Add(1)
	c.accepted.Add(1)
}

// ended counts the end of a connection and resumes paused acceptors.
func (c *core) ended() {
	c.open.Add(-1)
	if c.paused.Load() == 0 {
		return
	}
	c.gate.Lock()
	defer c.gate.Unlock()
	c.freed.Broadcast()
	for _, f := range c.waiting {
		f()
	}
	c.waiting = nil
}

func (c *core) isClosing() bool {
	c.gate.Lock()
	defer c.gate.Unlock()
	return c.closing
}

// pausing counts an acceptor that starts (+1) or stops (-1) waiting for a
// connection to end. The caller holds c.gate.
func (c *core) pausing(n int32) {
	after := c.paused.Add(n)
	switch {
	case n > 0 && after == n:
		c.pauses++
		c.pausedAt = time.Now()
	case n < 0 && after == 0:
		c.pausedFor += time.Since(c.pausedAt)
	}
}

func (c *core) stats() Stats {
	s := Stats{
		Open:          c.open.Load(),
		Accepted:      c.accepted.Load(),
		Rejected:      c.rejected.Load(),
		BytesRead:     c.bytesRead.Load(),
		BytesWritten:  uint64(max(int64(c.bytesWritten.Load()), 0)), // the overhead of TLS may be subtracted before it is sent
		Yields:        c.yields.Load(),
		IdleKicks:     c.idleKicks.Load(),
		SlowKicks:     c.slowKicks.Load(),
		Panics:        c.panics.Load(),
		Handshakes:    c.handshakes.Load(),
		BadHandshakes: c.badHandshakes.Load(),
	}
	c.gate.Lock()
	defer c.gate.Unlock()
	paused := c.paused.Load() > 0
	s.Accepting = !paused && !c.closing
	s.Pauses = c.pauses
	s.PausedFor = c.pausedFor
	if paused {
		s.PausedFor += time.Since(c.pausedAt)
	}
	return s
}

// data calls the session until it wants anything but Next. ok is false if it
// panicked or returned an impossible count; then n is 0.
func (c *core) data(s Session, in []byte, w *Writer) (n int, step Step, ok bool) {
	defer func() {
		if !ok {
			n = 0
			c.panicked(recover())
		}
	}()
	for {
		used, step := s.Data(in[n:], w)
		if used < 0 || used > len(in)-n {
			panic("netloop: session consumed more than there was")
		}
		n += used
		switch {
		case step != Next:
			return n, step, true
		case used == 0 || n == len(in):
			return n, NeedMore, true
		}
	}
}

// onClose calls the session's on-close hook.
func (c *core) onClose(s Session, why Reason) {
	defer c.recovered(nil)
	s.Closed(why)
}

// drained calls Drained if the session has it.
func drained(s Session) {
	if d, ok := s.(Drainer); ok {
		d.Drained()
	}
}

// halfClosed calls HalfClosed if the session has it. ok is false if that
// panicked.
func (c *core) halfClosed(s Session) (ok bool) {
	h, is := s.(HalfCloser)
	if !is {
		return true
	}
	defer c.recovered(&ok)
	h.HalfClosed()
	return true
}

// recovered is deferred around a call of a session that has no result. It
// reports a panic and sets *ok, if there is one, to false.
func (c *core) recovered(ok *bool) {
	if v := recover(); v != nil {
		c.panicked(v)
		if ok != nil {
			*ok = false
		}
	}
}

func (c *core) panicked(v any) {
	c.panics.Add(1)
	if c.cfg.OnPanic != nil {
		c.cfg.OnPanic(v, debug.Stack())
	}
}
