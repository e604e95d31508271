package exec

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// MaxCrawls bounds the crawls and dumps that run at a time.
const MaxCrawls = 16

// Crawler removes expired items in the background. It is safe for concurrent use.
type Crawler struct {
	items      *store.Store
	background func(f func()) bool // runs f unless the engine is stopped
	enabled    atomic.Bool
	sleep      atomic.Int64 // nanoseconds

	mu      sync.Mutex // guards what follows
	running int        // crawls and dumps
	starts  uint64
}

func (c *Crawler) init(items *store.Store, on bool, sleep time.Duration, background func(f func()) bool) {
	c.items, c.background = items, background
	c.SetSleep(sleep)
	c.Enable(on)
}

// Enabled reports whether the crawler is enabled.
func (c *Crawler) Enabled() bool { return c.enabled.Load() }

// Enable turns the crawler on or off. It reports whether that changed anything.
func (c *Crawler) Enable(on bool) (changed bool) {
	changed = c.enabled.Swap(on) != on
	c.items.SetSweep(on)
	return changed
}

// SetSleep sets how long the crawler pauses between two steps.
func (c *Crawler) SetSleep(d time.Duration) { c.sleep.Store(int64(d)) }

// Running returns how many crawls and dumps are running.
func (c *Crawler) Running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// started returns how many crawls and dumps have begun.
func (c *Crawler) started() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts
}

// Begin reserves a crawl or dump. It returns false if MaxCrawls are running.
func (c *Crawler) Begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running >= MaxCrawls {
		return false
	}
	c.running++
	c.starts++
	return true
}

// end releases what Begin has reserved.
func (c *Crawler) end() {
	c.mu.Lock()
	c.running--
	c.mu.Unlock()
}

// Crawl removes expired and flushed items of some classes in the background. It
// returns false if too many crawls are running.
func (c *Crawler) Crawl(want Classes) bool {
	if !c.Begin() {
		return false
	}
	started := c.background(func() {
		defer c.end()
		var has func(int) bool
		if want != nil {
			has = want.Has
		}
		c.items.Crawl(has)
	})
	if !started {
		c.end()
	}
	return started
}

// LastClass is the highest size class that memcached may have. Those above
// store.Classes are always empty.
const LastClass = 63

// Classes is a set of size classes; nil is all of them.
type Classes []bool

// ParseClasses reads size classes separated by commas, or all.
func ParseClasses(list string) (c Classes, ok bool) {
	if list == "all" {
		return nil, true
	}
	c = make(Classes, LastClass+1)
	for word := range strings.SplitSeq(list, ",") {
		n, ok := mcproto.ParseUint([]byte(word))
		if !ok || n < 1 || n > LastClass {
			return nil, false
		}
		c[n] = true
	}
	return c, true
}

// Has reports whether class is in c.
func (c Classes) Has(class int) bool { return c == nil || c[class] }
