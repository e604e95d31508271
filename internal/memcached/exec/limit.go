package exec

import (
	"sync"
	"time"

	"lintel.dev/internal/memcached/store"
)

// shrinkStep is by how much the memory limit is lowered at a time, in bytes. Evicting
// so much takes a few milliseconds.
const shrinkStep = 4 * mib

// shrinkPause is the time between two steps, in which clients are served.
const shrinkPause = 2 * time.Millisecond

// limit is the memory limit of an engine. A lower one is reached in the background.
type limit struct {
	mu        sync.Mutex // guards what follows
	value     int64      // as set by a client
	store     int64      // limit of the store now
	target    int64      // what store is to be
	shrinking bool
}

// Limit returns the memory limit in bytes, as it was set last.
func (e *Engine) Limit() int64 {
	l := &e.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}

// SetLimit changes the memory limit, in bytes. It returns at once: the items that are
// too many are evicted in the background, in small steps.
func (e *Engine) SetLimit(bytes int64) error {
	target := e.StoreLimit(bytes)
	l := &e.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	near := target >= l.store-shrinkStep || e.Items.Stats().Used <= target
	if target >= l.store || near && !l.shrinking {
		if err := e.Items.SetLimit(target); err != nil {
			return err
		}
		l.value, l.store, l.target = bytes, target, target
		return nil
	}
	l.value, l.target = bytes, max(target, store.MinLimit)
	if !l.shrinking {
		l.shrinking = e.background(e.shrink)
	}
	return nil
}

// shrink lowers the limit of the store to the target.
func (e *Engine) shrink() {
	l := &e.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.shrinking = false }()
	for l.store != l.target {
		next := max(l.target, min(l.store, e.Items.Stats().Used)-shrinkStep)
		if l.target > l.store {
			next = l.target // it was raised again
		}
		l.mu.Unlock()
		// An error means that items are in use, by replies to slow clients. The
		// store evicts them when they are released.
		_ = e.Items.SetLimit(next)
		stopped := false
		select {
		case <-e.stop:
			stopped = true
		case <-time.After(shrinkPause):
		}
		l.mu.Lock()
		if l.store = next; stopped {
			return
		}
	}
}
