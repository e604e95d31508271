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
	// ErrTooLarge is returned for an item whose ItemSize exceeds Options.MaxItemSize.
	ErrTooLarge = errors.New("store: item too large")
	// ErrNoMemory is returned if there is no room for an item: it does not fit in the
	// limit, the store may not evict, or all items are pinned.
	ErrNoMemory = errors.New("store: out of memory")
	// ErrLimit is returned for a memory limit or item size out of range.
	ErrLimit = errors.New("store: memory limit out of range")
	// ErrSnapshot is returned if the file of Options.Path cannot be used.
	ErrSnapshot = errors.New("store: unusable restart file")
)

// MaxKey is the length in bytes of the longest key.
const MaxKey = 250

// MinLimit and MaxLimit bound Options.MaxBytes. MaxLimit is 1 TiB and what
// memcached's accounting adds to it.
const (
	MinLimit = 1 << 20
	MaxLimit = 1<<40 + 1<<32
)

// Options are the settings of a Store. Only MaxBytes is required.
type Options struct {
	MaxBytes    int64        // bytes that items and their index may use, at least MinLimit
	Loops       int          // goroutines that are expected to store at the same time; 0 is 1
	MaxItemSize int          // largest item as counted by ItemSize; 0 is 1 MiB, at most 1 GiB
	NoEvict     bool         // refuse with ErrNoMemory instead of evicting live items
	DisableCAS  bool         // keep no CAS values: Txn.CAS is 0
	CAS         uint64       // CAS values are above it
	Now         func() int64 // unix seconds, safe for concurrent use; nil is the real clock, at most 100 ms behind
	NoSweep     bool         // do not search for expired items in the background
	// Path is a file that becomes the memory of the items, so that a later store on
	// it starts with them. "" is none. It should be on a file system in memory.
	// After Close it holds every item. After a crash of the process it holds every
	// item that was completely stored and not removed. New returns ErrSnapshot and
	// does not change the file if it is in use, was written under other options,
	// or was not closed before the machine was restarted.
	Path  string
	Hooks Hooks
}

// Hooks are called with the lock of the item's shard held. They must be fast and
// must not call the store. Any may be nil.
type Hooks struct {
	// Evict is called before an item is evicted. Item.Key is valid during the call.
	Evict func(Item)

	// Change is called for every change while Store.Listen is on. The changes of a
	// lane have the numbers 1, 2, 3 and so on, also those of the time in which it is
	// not called. key is valid during the call: the item's; the prefix if the change is
	// PrefixFlushed; nil if it is AllFlushed. No other transaction sees the change
	// before Change returns.
	Change func(lane int, number uint64, change Change, key []byte)
}

// Item describes an item for Scan and Hooks.
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
	still    atomic.Bool // no background sweeps
	spins    bool        // GOMAXPROCS is above 1
	pool     pool
	shards   []shard
	shift    uint // a hash shifted right by it is the number of the shard
	hash     keyed
	indexes  indexes
	now      func() int64
	clock    atomic.Int64
	stamp    atomic.Uint64        // segments opened
	queued   [queues]atomic.Int64 // bytes of the segments of all shards in a queue
	pressure atomic.Int64         // see press
	power    atomic.Uint32        // see hashPower
	damaged  atomic.Uint64        // records of the file with a wrong checksum
	keeping  atomic.Bool          // a goroutine is in keepRoom
	stop     chan struct{}
	tended   sync.WaitGroup
	close    sync.Once
	closed   error
}

// pool is the memory of the items.
type pool struct {
	arena.Pool
	sums    int // bytes of the checksum of a record
	layouts *[256]offsets
}

// setSums has records with a checksum, or without.
func (p *pool) setSums(on bool) {
	p.sums, p.layouts = 0, &layouts
	if on {
		p.sums, p.layouts = sumLen, &sumLayouts
	}
}

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

// leastFile is added to six times the limit for the length of a store's file. No
// more than the limit is in use at a time.
const leastFile = 64 << 20

// A store reserves addresses for twelve times its limit, within these bounds. The
// largest limits have four times as many.
const (
	leastAddresses = 24 << 30
	mostAddresses  = 1 << locBits
)

// New returns a store, with the items of the file of Options.Path. Close must be
// called.
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
	s.shift = shardShift(n)
	s.pool.setSums(file != nil)
	switch {
	case file != nil:
		if err := s.attach(file, had, arena.PoolSize(min(limit*6+leastFile, mostAddresses), seg), seg); err != nil {
			return err
		}
	default:
		if err := s.pool.Open(nil, min(max(limit*12, leastAddresses), mostAddresses), seg, limit); err != nil {
			return err
		}
	}
	if err := s.indexes.init(n, limit/int64(n), s.pool.MaxLimit()/int64(n)); err != nil {
		return err
	}
	for i := range s.shards {
		s.shards[i].init(s, i)
	}
	if had != nil {
		return s.load()
	}
	return nil
}

// shardShift returns by how much a hash is shifted right to be the number of one
// of n shards. n is a power of two.
func shardShift(n int) uint { return uint(64 - bits.TrailingZeros(uint(n))) }

func (s *Store) shardOf(h uint64) *shard { return &s.shards[h>>s.shift] }

// Close writes the file, if there is one, and releases the memory. Every release
// function of Txn.Pin must have been called before, and no method is called after.
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
	return errors.Join(s.indexes.close(), s.pool.Close())
}

// Now returns the unix second by the clock of the store.
func (s *Store) Now() int64 { return s.now() }

// SetLimit changes Options.MaxBytes. It evicts items until a lower limit is kept.
// The limit can be raised to 6 GiB or, if that is more, three times the limit that
// the store was made with (less from 300 GiB on); with a file, to one and a half
// times.
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
		sh.lock() // wait for a shard that makeRoom found locked
		sh.mu.Unlock()
		done = s.makeRoom(nil, 0)
	}
	if !done && !s.opts.NoEvict {
		return fmt.Errorf("%w: %d bytes are in use that cannot be freed now", ErrLimit, s.pool.Used())
	}
	s.pool.Trim()
	return nil
}

// scanBatch is about how many items Scan collects under a lock.
const scanBatch = 256

// Scan calls yield for every live item until it returns false. An item that exists
// throughout is seen exactly once; one that is stored or removed meanwhile may be
// missed. Item.Key is valid during the call. yield runs without a lock and may
// use the store.
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

// scan appends the live items of a leaf from a tag on. It returns the tag to
// continue with.
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
		r.decode(sh.pool, loc)
		if sh.visible(&r, now) == Absent {
			it := sh.item(&r)
			keys = append(keys, it.Key...)
			items = append(items, it)
		}
		if len(items) >= scanBatch {
			from = tag // the rest of this tag is part of this batch
		}
	}
	for i, at := 0, 0; i < len(items); i++ {
		n := len(items[i].Key)
		items[i].Key = keys[at : at+n : at+n]
		at += n
	}
	return items, keys, next
}
