// Package store keeps a cache's items in bounded memory: it finds, replaces, expires and evicts them, and knows nothing of
// commands or the wire.
//
// A store is divided into shards by a hash of the key. Every operation on a key happens in a Txn, the exclusive hold on the
// key's shard, so that a command made of several steps (look, decide, write) is atomic.
package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrTooLarge reports an item that ItemSize counts beyond Options.MaxItemSize, or that cannot fit in the memory at all.
	ErrTooLarge = errors.New("store: item too large")
	// ErrNoMemory reports that there is no room for an item: the store may not evict, or everything is pinned.
	ErrNoMemory = errors.New("store: out of memory")
	// ErrLimit reports a memory limit that the store cannot work with.
	ErrLimit = errors.New("store: memory limit out of range")
	// ErrSnapshot reports a file of Options.Path that cannot be used: it was written under other settings, or is no store.
	ErrSnapshot = errors.New("store: unusable restart file")
)

// MaxKey is the length in bytes of the longest key.
const MaxKey = 250

// MinLimit is the smallest Options.MaxBytes.
const MinLimit = 1 << 20

// Options are the settings of a Store. MaxBytes alone must be set.
type Options struct {
	MaxBytes    int64        // bytes that items and their index may use, at least MinLimit
	MaxItemSize int          // largest item as counted by ItemSize; 0 is 1 MiB, at most 1 GiB
	NoEvict     bool         // refuse with ErrNoMemory instead of evicting live items
	DisableCAS  bool         // keep no CAS values: Txn.CAS is 0
	Now         func() int64 // unix seconds, safe for concurrent use; nil is the real clock, at most 100 ms behind
	Path        string       // file that holds the items, so that a later store opened on it starts with them; "" is none
	Hooks       Hooks
}

// Hooks are called with the item's shard held: they must be quick and must not call the store. Any may be nil.
type Hooks struct {
	// Evict is called for an item about to be dropped to make room. Its Key is only valid during the call.
	Evict func(Item)
}

// Item describes an item as Scan and hooks see it.
type Item struct {
	Key        []byte
	Flags      uint32
	CAS        uint64
	Expiry     int64 // unix seconds, 0 is never
	LastAccess int64 // unix seconds
	Fetched    bool  // read since it was stored
	Size       int   // as counted by ItemSize
	Class      int   // as given by ClassOf
}

// Store is a bounded set of items. It is safe for concurrent use.
type Store struct {
	opts    Options
	shards  []shard
	mask    uint64
	limit   atomic.Int64
	now     func() int64
	clock   atomic.Int64
	cas     atomic.Uint64
	stop    chan struct{}
	stopped sync.WaitGroup
	close   sync.Once
}

// New makes a store. With Options.Path it holds the items of that file, if there are any. Close must be called.
func New(opts Options) (*Store, error) {
	if opts.MaxItemSize == 0 {
		opts.MaxItemSize = 1 << 20
	}
	if opts.MaxBytes < MinLimit {
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrLimit, opts.MaxBytes, MinLimit)
	}
	if opts.MaxItemSize < 1024 || opts.MaxItemSize > 1<<30 {
		return nil, fmt.Errorf("%w: largest item %d bytes, want 1024 to %d", ErrLimit, opts.MaxItemSize, 1<<30)
	}
	n := 1
	for n < 16 && opts.MaxBytes/int64(n*2) > 8*int64(opts.MaxItemSize) {
		n *= 2
	}
	s := &Store{opts: opts, shards: make([]shard, n), mask: uint64(n - 1), now: opts.Now, stop: make(chan struct{})}
	for i := range s.shards {
		s.shards[i].init(s)
	}
	s.limit.Store(opts.MaxBytes)
	if s.now == nil {
		s.clock.Store(time.Now().Unix())
		s.now = s.clock.Load
		s.stopped.Go(s.tick)
	}
	return s, nil
}

func (s *Store) tick() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.clock.Store(now.Unix())
		}
	}
}

// Close releases the memory. No other method may be called afterwards, and every release function that Txn.Pin returned must
// have been called before.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.stop) })
	s.stopped.Wait()
	return nil
}

// Now returns the store's idea of the time, in unix seconds.
func (s *Store) Now() int64 { return s.now() }

// SetLimit changes Options.MaxBytes. Items are evicted at once when the new limit is lower.
func (s *Store) SetLimit(bytes int64) error {
	if bytes < MinLimit {
		return fmt.Errorf("%w: %d bytes, want at least %d", ErrLimit, bytes, MinLimit)
	}
	s.limit.Store(bytes)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.makeRoom(0)
		sh.mu.Unlock()
	}
	return nil
}

// Scan calls yield for every live item until it returns false. Items stored or removed meanwhile may or may not be seen. The
// item's Key is only valid during the call. No shard is held while yield runs, so it may take its time and use the store.
func (s *Store) Scan(yield func(Item) bool) {
	var items []Item
	for i := range s.shards {
		items = s.shards[i].list(items[:0])
		for _, it := range items {
			if !yield(it) {
				return
			}
		}
	}
}

// Crawl looks at every item of the classes for which want returns true (nil is all) and takes back the memory of those that
// are expired or flushed. It returns how many it looked at and how many it removed. The store does as much by itself, slowly.
func (s *Store) Crawl(want func(class int) bool) (checked, reclaimed int) {
	for i := range s.shards {
		c, r := s.shards[i].crawl(want)
		checked, reclaimed = checked+c, reclaimed+r
	}
	return checked, reclaimed
}

// FlushAll makes every item vanish that was stored or touched before the unix second at; when that is not in the future, every
// item present. A later call replaces one whose time has not come. It takes constant time: memory is taken back later.
func (s *Store) FlushAll(at int64) {
	for i := range s.shards {
		s.shards[i].flushAll(at)
	}
}

// FlushPrefix makes every item present whose key starts with prefix vanish. It takes constant time.
func (s *Store) FlushPrefix(prefix []byte) {
	for i := range s.shards {
		s.shards[i].flushPrefix(string(prefix))
	}
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	var st Stats
	for i := range s.shards {
		s.shards[i].addStats(&st)
	}
	st.Limit = s.limit.Load()
	return st
}

// ResetStats sets the counters of Stats to 0.
func (s *Store) ResetStats() {
	for i := range s.shards {
		s.shards[i].resetStats()
	}
}
