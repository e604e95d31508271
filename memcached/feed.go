package memcached

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/store"
)

// A Feed publishes the changes of a cache. The methods are called by the server of
// which it is [Options.Feed], by several goroutines at the same time. A Feed belongs
// to one server. Package nearcache/server has the one for near caches.
//
// Changes are numbered in lanes, one for each part of the cache with a lock of its
// own. In a lane the numbers are 1, 2, 3 and so on. Evictions, expiry, and commands
// that change nothing have no number.
type Feed interface {
	// Start is called by New, before anything else. New returns its error.
	Start(c Changes) error

	// Stop is called once after Start, by Shutdown, before the cache is freed. It returns when no
	// call of a method of Changes is under way, and there is none after it.
	Stop()

	// Change is called for a change while Changes.Listen is on, with the lane locked:
	// it must be fast and must not use the server. The numbers of a lane come in order.
	// Clients see the change after Change has returned. key is valid during the call: that of
	// the item, the prefix of PrefixFlushed, nil for AllFlushed.
	Change(lane int, number uint64, kind ChangeKind, key []byte)

	// AppendFence appends the reply to the command mf without its line ending. nonce
	// is the argument of the command.
	AppendFence(dst []byte, nonce uint64) []byte

	// Stats returns the figures for the command stats.
	Stats() FeedStats
}

// Changes is the part of a cache that a [Feed] uses. Its methods lock one lane after
// the other.
type Changes = exec.Changes

// FeedStats are figures of a [Feed].
type FeedStats = exec.FeedStats

// ChangeKind is what a change did.
type ChangeKind = store.Change

// The kinds of changes.
const (
	Changed       = store.Changed       // an item was stored, or its value, flags, CAS value or stale mark changed
	Deleted       = store.Deleted       // an item was removed
	Touched       = store.Touched       // only the expiry time of an item changed
	AllFlushed    = store.AllFlushed    // every item of the lane was removed
	PrefixFlushed = store.PrefixFlushed // every item of the lane whose key begins with the prefix was removed
)
