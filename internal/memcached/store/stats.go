package store

import "sync/atomic"

// Stats is a snapshot of the store's figures. Counters count from New or the last ResetStats; gauges are as of now.
type Stats struct {
	Limit     int64 // bytes of memory the items and their index may use
	Used      int64 // bytes of memory they use: segments and index
	Items     int64 // items held, those expired or flushed but not yet reclaimed included
	Bytes     int64 // sum of ItemSize over Items
	HashPower int   // log2 of the slots of the hash table that memcached would have; see hashPower
	HashBytes int64 // bytes of the index

	TotalItems       uint64 // items stored, replacements included
	Evictions        uint64 // live items dropped to make room
	EvictedUnfetched uint64 // of these, never read since stored
	EvictedActive    uint64 // of these, read more than once since they last aged
	Reclaimed        uint64 // expired or flushed items whose memory was taken back to make room
	ExpiredUnfetched uint64 // items that expired without ever having been read
	CrawlerReclaimed uint64 // expired or flushed items removed by the background sweep
	CrawlerChecked   uint64 // items the background sweep looked at
	OutOfMemory      uint64 // Puts refused with ErrNoMemory
	Moved            uint64 // items copied from one segment to another
	Promoted         uint64 // of these, from small to the main queue
	CompactedBytes   uint64 // bytes of segments emptied because most of their content was dead

	Class [Classes]ClassStats // class n at index n-1
}

// ClassStats is the part of Stats that concerns the items of one of memcached's size classes.
type ClassStats struct {
	Items            int64
	Bytes            int64 // sum of ItemSize
	Probation        int64 // of Items, those in the queue of newcomers
	Age              int64 // seconds since the oldest segment was opened, for a class with items
	TotalItems       uint64
	Evictions        uint64
	EvictedNonzero   uint64 // of Evictions, items that had an expiry
	EvictedUnfetched uint64
	EvictedActive    uint64
	EvictedTime      int64 // seconds between the last access and the eviction of the item last evicted
	OutOfMemory      uint64
	Reclaimed        uint64
	ExpiredUnfetched uint64
	CrawlerReclaimed uint64
	CrawlerChecked   uint64
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	st := Stats{Limit: s.pool.Limit(), Used: s.pool.Used()}
	for i := range s.shards {
		s.shards[i].addStats(&st)
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

// hashPower is the least power of two that memcached, which doubles its table when there are three items to two slots and never
// makes it smaller, would have come to with the items that were counted so far; the file keeps it for the next store.
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

func (sh *shard) addStats(st *Stats) {
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
		sum.Probation += c.Probation
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

// ResetStats sets the counters of Stats to 0.
func (s *Store) ResetStats() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.lock()
		sh.settle()
		sh.moved, sh.promoted, sh.compacted = 0, 0, 0
		for j := range sh.class {
			c := &sh.class[j]
			*c = ClassStats{Items: c.Items, Bytes: c.Bytes, Probation: c.Probation}
		}
		sh.mu.Unlock()
	}
}
