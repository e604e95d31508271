package exec

import "lintel.dev/internal/memcached/store"

// Feed is memcached.Feed.
type Feed interface {
	Start(Changes) error
	Stop()
	Change(lane int, number uint64, change store.Change, key []byte)
	AppendFence(dst []byte, nonce uint64) []byte
	Stats() FeedStats
}

// Changes is memcached.Changes. A store is one.
type Changes interface {
	// Lanes returns the number of lanes, 1 to 64.
	Lanes() int
	// Listen turns the calls of Feed.Change on or off. When it returns, every later
	// change is passed on, or none.
	Listen(on bool)
	// Numbers appends the number of the last change of each lane, 0 before the first.
	Numbers(dst []uint64) []uint64
}

// FeedStats is memcached.FeedStats.
type FeedStats struct {
	Subscribers int    // connections
	Published   uint64 // changes sent
	Lost        uint64 // changes not sent, for lack of room
}
