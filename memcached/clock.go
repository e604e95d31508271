package memcached

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock is the server's time in whole unix seconds. A ticker keeps it, so that
// reading it costs a load; the debugtime command can stop and move it.
type clock struct {
	sec atomic.Int64

	mu     sync.Mutex // guards what follows
	paused bool
	offset int64
}

func newClock() *clock {
	c := &clock{}
	c.sec.Store(time.Now().Unix())
	return c
}

// Now is the current second.
func (c *clock) Now() int64 { return c.sec.Load() }

// tick follows the system's clock.
func (c *clock) tick(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		c.sec.Store(now.Unix() + c.offset)
	}
}

// pause stops the clock; add moves it; resume goes back to the system's time.
func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = true
}

func (c *clock) add(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += seconds
	c.sec.Add(seconds)
}

func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused, c.offset = false, 0
	c.sec.Store(time.Now().Unix())
}

// maxTTL is the longest relative time to live, in seconds. A larger number is
// an absolute unix time (protocol.txt, "Expiration times").
const maxTTL = 60 * 60 * 24 * 30

// lastSecond is the end of the year 9999: later expiries are cut to it.
const lastSecond = 253402300799

// gone is an expiry that lies in the past of any clock.
const gone = 1

// expiry turns the exptime of a command into unix seconds, 0 for never.
func expiry(exptime, now int64) int64 {
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
