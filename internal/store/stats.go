package store

// Stats is a snapshot of the store's figures. Counters count from New or the last ResetStats; gauges are as of now.
type Stats struct {
	Limit     int64 // bytes of memory the items and their index may use
	Used      int64 // bytes of memory they use: segments and index
	Items     int64 // items held, those expired or flushed but not yet reclaimed included
	Bytes     int64 // sum of ItemSize over Items
	HashPower int   // log2 of the index slots, rounded down
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
	Promoted         uint64 // of these, from probation to the main queue
	CompactedBytes   uint64 // bytes of segments emptied because most of their content was dead

	Class [Classes]ClassStats // class n at index n-1
}

// ClassStats is the part of Stats that concerns the items of one of memcached's size classes.
type ClassStats struct {
	Items            int64
	Bytes            int64 // sum of ItemSize
	Probation        int64 // of Items, those in the queue of newcomers
	Age              int64 // seconds since the item next to be evicted was last accessed
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
