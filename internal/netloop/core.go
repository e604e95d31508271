package netloop

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// core is what the drivers of one Loop share: the bound on connections and
// the counters.
type core struct {
	cfg   Config
	start time.Time

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

	// mu guards what follows.
	mu        sync.Mutex
	freed     *sync.Cond // signalled when a connection ends or closing is set
	closing   bool
	paused    int // acceptors waiting at the limit
	pauses    uint64
	pausedFor time.Duration
	pausedAt  time.Time
}

func newCore(cfg Config) *core {
	c := &core{cfg: cfg, start: time.Now()}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// millis is a clock that no change of the system's time disturbs, in unix
// milliseconds as of the start.
func (c *core) millis() int64 {
	return c.start.UnixMilli() + time.Since(c.start).Milliseconds()
}

// seconds is the clock of Conn.Active.
func (c *core) seconds() int64 {
	if c.cfg.Now != nil {
		return c.cfg.Now()
	}
	return c.millis() / 1000
}

// admit counts a new connection in, unless that would be one too many.
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

// leave is the opposite of admit.
func (c *core) leave() {
	c.open.Add(-1)
	if c.cfg.PauseAtLimit {
		c.mu.Lock()
		c.freed.Broadcast()
		c.mu.Unlock()
	}
}

func (c *core) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// pausing counts an acceptor that begins (+1) or ends (-1) to wait for a
// connection to end. c.mu must be held.
func (c *core) pausing(n int) {
	before := c.paused
	c.paused += n
	switch {
	case before == 0 && n > 0:
		c.pauses++
		c.pausedAt = time.Now()
	case c.paused == 0 && n < 0:
		c.pausedFor += time.Since(c.pausedAt)
	}
}

// stats is everything but what a driver counts apart.
func (c *core) stats() Stats {
	s := Stats{
		Open:          c.open.Load(),
		Accepted:      c.accepted.Load(),
		Rejected:      c.rejected.Load(),
		BytesRead:     c.bytesRead.Load(),
		BytesWritten:  c.bytesWritten.Load(),
		Yields:        c.yields.Load(),
		IdleKicks:     c.idleKicks.Load(),
		SlowKicks:     c.slowKicks.Load(),
		Panics:        c.panics.Load(),
		Handshakes:    c.handshakes.Load(),
		BadHandshakes: c.badHandshakes.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Accepting = c.paused == 0 && !c.closing
	s.Pauses = c.pauses
	s.PausedFor = c.pausedFor
	if c.paused > 0 {
		s.PausedFor += time.Since(c.pausedAt)
	}
	return s
}

// data calls the session and turns a panic, or a count that cannot be, into
// ok false.
func (c *core) data(s Session, in []byte, w *Writer) (n int, next Next, ok bool) {
	defer func() {
		if ok {
			return
		}
		v := recover()
		c.panics.Add(1)
		if c.cfg.OnPanic != nil {
			c.cfg.OnPanic(v, debug.Stack())
		}
	}()
	n, next = s.Data(in, w)
	if n < 0 || n > len(in) {
		panic("netloop: session consumed more than there was")
	}
	return n, next, true
}
