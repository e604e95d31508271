package exec

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// Crawler removes expired items in the background, and reserves the cache for one
// dump at a time. It is safe for concurrent use.
type Crawler struct {
	items      *store.Store
	background func(f func()) bool // runs f unless the engine is stopped
	computing  chan struct{}       // jobs.running
	stop       chan struct{}       // closed when the engine stops
	enabled    atomic.Bool
	sleep      atomic.Int64 // nanoseconds

	mu       sync.Mutex // guards what follows
	dumping  bool
	refused  bool // another dump, during this one
	crawling bool
	queued   bool // a crawl is to follow, of the classes next
	next     Classes
	starts   uint64
}

func (c *Crawler) init(e *Engine) {
	c.items, c.background = e.Items, e.background
	c.computing, c.stop = e.jobs.running, e.stop
	c.SetSleep(e.Config.CrawlerSleep)
	c.Enable(!e.DisableCrawler)
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

// Sleep returns how long the crawler pauses between two steps.
func (c *Crawler) Sleep() time.Duration { return time.Duration(c.sleep.Load()) }

// Running reports whether a crawl or a dump is running.
func (c *Crawler) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crawling || c.dumping
}

// started returns how many crawls and dumps have begun.
func (c *Crawler) started() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts
}

// resetStarts makes started begin at 0.
func (c *Crawler) resetStarts() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = 0
}

// BeginDump reserves the cache for a dump. It returns false during another dump.
func (c *Crawler) BeginDump() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dumping {
		c.refused = true
		return false
	}
	c.dumping, c.refused = true, false
	c.starts++
	return true
}

// dumpRefused reports whether another dump was refused during the one that runs.
func (c *Crawler) dumpRefused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// endDump ends what BeginDump has begun.
func (c *Crawler) endDump() {
	c.mu.Lock()
	c.dumping = false
	c.mu.Unlock()
}

// Crawl removes expired and flushed items of some classes in the background. During
// a crawl the next one is queued. It returns false during a dump.
func (c *Crawler) Crawl(want Classes) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dumping:
		return false
	case c.queued:
		want = c.next.union(want)
	}
	c.queued, c.next = true, want
	c.starts++
	if !c.crawling {
		c.crawling = c.background(c.crawl)
	}
	return c.crawling
}

// crawl does the crawls that are queued.
func (c *Crawler) crawl() {
	c.computing <- struct{}{}
	defer func() { <-c.computing }()
	for {
		c.mu.Lock()
		want := c.next
		c.crawling, c.queued = c.queued, false
		if !c.crawling {
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.items.Crawl(want.Has, c.pause)
	}
}

// pause lets other goroutines and jobs run between two steps. It returns false if the
// engine is stopped.
func (c *Crawler) pause() bool {
	<-c.computing
	defer func() { c.computing <- struct{}{} }()
	timer := time.NewTimer(c.Sleep())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.stop:
		return false
	}
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

// union returns the classes of c and d.
func (c Classes) union(d Classes) Classes {
	if c == nil || d == nil {
		return nil
	}
	both := slices.Clone(c)
	for i := range both {
		both[i] = both[i] || d[i]
	}
	return both
}

// Has reports whether class is in c.
func (c Classes) Has(class int) bool { return c == nil || c[class] }
