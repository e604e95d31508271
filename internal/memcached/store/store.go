// Package store keeps a cache's items in bounded memory: it finds, replaces, expires and evicts them, and knows nothing of
// commands or the wire.
//
// A store is divided into shards by a hash of the key. Every operation on a key happens in a Txn, the exclusive hold on the
// key's shard, so that a command made of several steps (look, decide, write) is atomic.
package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/arena"
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

// The smallest and largest Options.MaxBytes.
const (
	MinLimit = 1 << 20
	MaxLimit = 64 << 30
)

// Options are the settings of a Store. MaxBytes alone must be set.
type Options struct {
	MaxBytes    int64        // bytes that items and their index may use, at least MinLimit
	Loops       int          // goroutines that are expected to store at the same time; 0 is 1
	MaxItemSize int          // largest item as counted by ItemSize; 0 is 1 MiB, at most 1 GiB
	NoEvict     bool         // refuse with ErrNoMemory instead of evicting live items
	DisableCAS  bool         // keep no CAS values: Txn.CAS is 0
	Now         func() int64 // unix seconds, safe for concurrent use; nil is the real clock, at most 100 ms behind
	NoSweep     bool         // do not look for expired items in the background; Crawl and the need for room still do
	// Path names a file that is to be the items' memory, so that a later store opened on it starts with them; "" is none. Best
	// on a file system in memory. After Close every item is there, after the death of the process every item that was complete,
	// none of those removed. New fails with ErrSnapshot if the file is in use, was written under other options, or was not
	// closed before the machine went down; it then leaves the file alone.
	Path  string
	Hooks Hooks
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
	ValueSize  int   // of the value alone
	Class      int   // as given by ClassOf
}

// Store is a bounded set of items. It is safe for concurrent use.
type Store struct {
	opts     Options
	still    atomic.Bool // does not sweep in the background
	spins    bool        // another goroutine can run while one waits
	pool     pool
	shards   []shard
	shift    uint // of a hash, to get the number of its shard
	hash     keyed
	now      func() int64
	clock    atomic.Int64
	stamp    atomic.Uint64        // segments opened
	queued   [queues]atomic.Int64 // bytes of the segments of all shards in a queue
	pressure atomic.Int64         // see press
	power    atomic.Uint32        // see hashPower
	keeping  atomic.Bool          // a goroutine is in keepRoom
	stop     chan struct{}
	tended   sync.WaitGroup
	close    sync.Once
	closed   error
}

// pool is the memory of the items.
type pool struct{ arena.Pool }

// maxShards bounds how many goroutines can work at once. Making room reads a line
// of each shard, so more would cost every set.
const maxShards = 64

// The sizes of segments, in bytes, and how many a shard has at least before they
// are larger than the smallest.
const (
	minSegment       = 16 << 10
	maxSegment       = 64 << 10
	segmentsPerShard = 128
)

// leastFile is how much longer than six times the limit the file of a store is, of which no more than the limit is ever in use.
const leastFile = 64 << 20

// addresses is how much address space a store with a limit reserves, at least and at most: enough for twelve times the limit.
const (
	leastAddresses = 24 << 30
	mostAddresses  = 1 << locBits
)

// New makes a store. With Options.Path it holds the items of that file, if there are any. Close must be called.
func New(opts Options) (*Store, error) {
	if opts.MaxItemSize == 0 {
		opts.MaxItemSize = 1 << 20
	}
	if opts.MaxBytes < MinLimit || opts.MaxBytes > MaxLimit {
		return nil, fmt.Errorf("%w: %d bytes, want %d to %d", ErrLimit, opts.MaxBytes, MinLimit, MaxLimit)
	}
	if opts.MaxItemSize < 1024 || opts.MaxItemSize > 1<<30 {
		return nil, fmt.Errorf("%w: largest item %d bytes, want 1024 to %d", ErrLimit, opts.MaxItemSize, 1<<30)
	}
	s := &Store{opts: opts, spins: runtime.GOMAXPROCS(0) > 1, now: opts.Now, stop: make(chan struct{})}
	if s.now == nil {
		s.clock.Store(time.Now().Unix())
		s.now = s.clock.Load
	}
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.unmap())
	}
	s.tended.Go(s.tend)
	return s, nil
}

// layout chooses the size of segments and the number of shards.
//
// Each shard has up to four segments that are partly filled, so many shards want
// small segments. With 64 shards instead of 16 in 64 MiB, two loops wait for
// each other a quarter as often, and a 500-byte item takes 547.6 instead of
// 545.5 bytes of the limit.
func layout(limit int64, loops int) (seg int64, shards int) {
	most, least := maxShards, int64(1<<20)
	if loops <= 1 {
		most, least = maxShards/2, 4<<20
	}
	shards = 1
	for shards < most && limit/int64(2*shards) >= least {
		shards *= 2
	}
	seg = minSegment
	for seg < maxSegment && limit/int64(shards) >= 2*seg*segmentsPerShard {
		seg *= 2
	}
	return seg, shards
}

func (s *Store) build() error {
	limit := s.opts.MaxBytes
	seg, n := layout(limit, s.opts.Loops)
	var file *arena.File
	var had *settings
	if s.opts.Path != "" {
		var err error
		if file, had, err = openFile(s.opts.Path); err != nil {
			return err
		}
		if had != nil { // the number of loops may have changed since
			seg, n = had.seg, int(had.shards)
		}
	}
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	s.hash = keyed{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])}
	s.shards = make([]shard, n)
	s.shift = uint(64 - bits.TrailingZeros(uint(n)))
	switch {
	case file != nil:
		if err := s.attach(file, had, arena.PoolSize(limit*6+leastFile, seg), seg); err != nil {
			return err
		}
	default:
		if err := s.pool.Open(nil, min(max(limit*12, leastAddresses), mostAddresses), seg, limit); err != nil {
			return err
		}
	}
	for i := range s.shards {
		if err := s.shards[i].init(s, i, limit/int64(n), s.pool.MaxLimit()/int64(n)); err != nil {
			return err
		}
	}
	if had != nil {
		return s.load()
	}
	return nil
}

func (s *Store) shardOf(h uint64) *shard { return &s.shards[h>>s.shift] }

// Close releases the memory, after completing the file if there is one. No other method may be called afterwards, and every release function that Txn.Pin returned must
// have been called before.
func (s *Store) Close() error {
	s.close.Do(func() {
		close(s.stop)
		s.tended.Wait()
		if s.pool.File() != nil {
			s.closed = s.detach()
		}
		s.closed = errors.Join(s.closed, s.unmap())
	})
	return s.closed
}

func (s *Store) unmap() error {
	var errs []error
	for i := range s.shards {
		errs = append(errs, s.shards[i].index.close())
	}
	return errors.Join(append(errs, s.pool.Close())...)
}

// Now returns the store's idea of the time, in unix seconds.
func (s *Store) Now() int64 { return s.now() }

// SetLimit changes Options.MaxBytes. Items are evicted at once when the new limit is lower. How far the limit can be raised
// depends on the one the store was made with: at least to 6 GiB, or three times as much as that; with a file, to one and a half.
func (s *Store) SetLimit(bytes int64) error {
	if most := s.pool.MaxLimit(); bytes < MinLimit || bytes > most {
		return fmt.Errorf("%w: %d bytes, want %d to %d", ErrLimit, bytes, MinLimit, most)
	}
	s.pool.SetLimit(bytes)
	s.makeRoom(nil, 0)
	for i := range s.shards {
		s.trimIndex(i)
	}
	done := s.makeRoom(nil, 0)
	for i := 0; !done && i < 4*len(s.shards); i++ {
		sh := &s.shards[i%len(s.shards)]
		sh.lock() // it may have been busy
		sh.mu.Unlock()
		done = s.makeRoom(nil, 0)
	}
	if !done && !s.opts.NoEvict {
		return fmt.Errorf("%w: %d bytes are in use that cannot be freed now", ErrLimit, s.pool.Used())
	}
	s.pool.Trim()
	return nil
}

// scanBatch is about how many items Scan collects while it holds a shard.
const scanBatch = 256

// Scan calls yield for every live item until it returns false. Every item that is there throughout is seen once; those stored
// or removed meanwhile may or may not be seen. The item's Key is only valid during the call. No shard is held while yield runs,
// so it may take its time and use the store.
func (s *Store) Scan(yield func(Item) bool) {
	var items []Item
	var keys []byte
	for i := range s.shards {
		sh := &s.shards[i]
		for j := range sh.index.leaves {
			for tag := uint64(0); tag < 1<<tagBits; {
				items, keys, tag = sh.scan(&sh.index.leaves[j], tag, items[:0], keys[:0])
				for k := range items {
					if !yield(items[k]) {
						return
					}
				}
			}
		}
	}
}

// scan copies the live items of a leaf from a tag on, and returns the tag at which to go on.
func (sh *shard) scan(l *leaf, from uint64, items []Item, keys []byte) ([]Item, []byte, uint64) {
	sh.lock()
	defer sh.mu.Unlock()
	now := sh.s.now()
	next := uint64(1 << tagBits)
	for i := l.start(from); i < len(l.slots); i++ {
		w := l.slots[i]
		tag := w >> tagShift
		if w == 0 || tag < from {
			continue
		}
		if len(items) >= scanBatch && tag != from {
			next = tag
			break
		}
		loc := arena.Loc(w & locMask)
		var r record
		r.decode(&sh.pool.Memory, loc)
		if sh.visible(&r, now) == Absent {
			it := sh.item(&r)
			keys = append(keys, it.Key...)
			items = append(items, it)
		}
		if len(items) >= scanBatch {
			from = tag // the rest of this tag belongs to this batch
		}
	}
	for i, at := 0, 0; i < len(items); i++ {
		n := len(items[i].Key)
		items[i].Key = keys[at : at+n : at+n]
		at += n
	}
	return items, keys, next
}
