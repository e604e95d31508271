package store

import "sync/atomic"

// Stats is a snapshot of the statistics. Counters count from New or the last
// ResetStats.
type Stats struct {
	Limit     int64 // bytes of memory that items and index may use
	Used      int64 // bytes that they use
	Items     int64 // including those expired or flushed and not yet removed
	Bytes     int64 // sum of ItemSize over Items
	HashPower int   // log2 of the slots of the hash table that memcached would have
	HashBytes int64 // bytes of the index

	TotalItems       uint64 // items stored, replacements included
	Evictions        uint64 // live items removed to make room
	EvictedUnfetched uint64 // of Evictions, never read since they were stored
	EvictedActive    uint64 // of Evictions, read and in the main queue
	Reclaimed        uint64 // expired or flushed items removed to make room
	ExpiredUnfetched uint64 // items that expired without being read
	CrawlerReclaimed uint64 // expired or flushed items removed by them
	CrawlerChecked   uint64 // items checked by Crawl and background sweeps
	OutOfMemory      uint64 // Puts refused with ErrNoMemory
	Damaged          uint64 // items of Options.Path that were dropped by New, since their checksum was wrong; not reset
	FileSystemFull   uint64 // times that the file system of Options.Path had no space; not reset
	Moved            uint64 // items copied from one segment to another
	Promoted         uint64 // of Moved, from the small to the main queue
	CompactedBytes   uint64 // dead bytes of segments that were compacted

	Class [Classes]ClassStats // class n at index n-1
}

// ClassStats are the statistics of one of memcached's size classes.
type ClassStats struct {
	Items            int64
	Bytes            int64 // sum of ItemSize
	Small            int64 // of Items, those in the small queue
	Age              int64 // seconds since the oldest segment was opened; 0 without items
	TotalItems       uint64
	Evictions        uint64
	EvictedNonzero   uint64 // of Evictions, items with an expiry
	EvictedUnfetched uint64
	EvictedActive    uint64
	EvictedTime      int64 // seconds since its last access when the last item was evicted
	OutOfMemory      uint64
	Reclaimed        uint64
	ExpiredUnfetched uint64
	CrawlerReclaimed uint64
	CrawlerChecked   uint64
}

// Stats returns the current statistics.
func (s *Store) Stats() Stats {
	st := Stats{Limit: s.pool.Limit(), Used: s.pool.Used(), FileSystemFull: s.pool.Full(), Damaged: s.damaged.Load()}
	for i := range s.shards {
		counter{&s.shards[i]}.addStats(&st)
	}
	for i := range st.Class {
		c := &st.Class[i]
		st.Items += c.Items
		st.Bytes += c.Bytes
		st.TotalItems += c.TotalItems
		st.Evictions += c.Evictions
		st.EvictedUnfetched += c.EvictedUnfetched
		st.EvictedActive += c.EvictedActive
		st.Reclaimed += c.Reclaimed
		st.ExpiredUnfetched += c.ExpiredUnfetched
		st.CrawlerReclaimed += c.CrawlerReclaimed
		st.CrawlerChecked += c.CrawlerChecked
		st.OutOfMemory += c.OutOfMemory
	}
	st.HashPower = s.hashPower(st.Items)
	return st
}

// hashPower returns log2 of the size of memcached's hash table, had it held the
// items counted so far. memcached doubles its table at three items for two slots
// and never shrinks it. The restart file stores the value.
func (s *Store) hashPower(items int64) int {
	power := uint32(0)
	for 2*items > 3<<power {
		power++
	}
	for {
		was := s.power.Load()
		if was >= power {
			return int(was)
		}
		if s.power.CompareAndSwap(was, power) {
			break
		}
	}
	if s.pool.File() != nil {
		atomic.StoreUint32(&s.super().power, s.power.Load())
	}
	return int(power)
}

func (sh counter) addStats(st *Stats) {
	sh.lock()
	defer sh.mu.Unlock()
	sh.settle()
	st.HashBytes += sh.index.bytes
	st.Moved += sh.moved
	st.Promoted += sh.promoted
	st.CompactedBytes += sh.compacted
	var age int64
	now := sh.s.now()
	for q := range sh.queues {
		if b := sh.queues[q].oldest; b != 0 {
			age = max(age, now-sh.pool.segment(b).born)
		}
	}
	for i := range sh.class {
		c, sum := &sh.class[i], &st.Class[i]
		if c.Items > 0 {
			sum.Age = max(sum.Age, age)
		}
		sum.Items += c.Items
		sum.Bytes += c.Bytes
		sum.Small += c.Small
		sum.TotalItems += c.TotalItems
		sum.Evictions += c.Evictions
		sum.EvictedNonzero += c.EvictedNonzero
		sum.EvictedUnfetched += c.EvictedUnfetched
		sum.EvictedActive += c.EvictedActive
		sum.EvictedTime = max(sum.EvictedTime, c.EvictedTime)
		sum.OutOfMemory += c.OutOfMemory
		sum.Reclaimed += c.Reclaimed
		sum.ExpiredUnfetched += c.ExpiredUnfetched
		sum.CrawlerReclaimed += c.CrawlerReclaimed
		sum.CrawlerChecked += c.CrawlerChecked
	}
}

// ResetStats sets the counters to 0.
func (s *Store) ResetStats() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		counter{sh}.settle()
		sh.moved, sh.promoted, sh.compacted = 0, 0, 0
		for j := range sh.class {
			c := &sh.class[j]
			*c = ClassStats{Items: c.Items, Bytes: c.Bytes, Small: c.Small}
		}
		sh.mu.Unlock()
	}
}
