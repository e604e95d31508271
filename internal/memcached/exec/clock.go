package exec

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the server's time in unix seconds. A ticker keeps it, so that reading
// it costs one load. The command debugtime, and tests, pause and move it.
type Clock struct {
	sec atomic.Int64

	mu     sync.Mutex // guards what follows
	paused bool
	offset int64
}

func newClock() *Clock {
	c := &Clock{}
	c.sec.Store(time.Now().Unix())
	return c
}

// Now returns the current second.
func (c *Clock) Now() int64 { return c.sec.Load() }

// Tick sets the clock to the system's time.
func (c *Clock) Tick(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		c.sec.Store(now.Unix() + c.offset)
	}
}

// Pause stops the clock.
func (c *Clock) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
}

// Add moves the clock.
func (c *Clock) Add(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += seconds
	c.sec.Add(seconds)
}

// Set sets a paused clock.
func (c *Clock) Set(sec int64) { c.sec.Store(sec) }

// Resume sets a paused or moved clock to the system's time.
func (c *Clock) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused, c.offset = false, 0
	c.sec.Store(time.Now().Unix())
}

// maxTTL is the longest relative expiry time, in seconds. A larger number is an
// absolute unix time (protocol.txt, "Expiration times").
const maxTTL = 60 * 60 * 24 * 30

// lastSecond is the end of the year 9999, the latest expiry time.
const lastSecond = 253402300799

// gone is an expiry time in the past.
const gone = 1

// Expiry converts the exptime of a command to unix seconds, 0 for never.
func Expiry(exptime, now int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return gone
	case exptime <= maxTTL:
		return now + exptime
	case exptime <= now:
		return gone
	}
	return min(exptime, lastSecond)
}
