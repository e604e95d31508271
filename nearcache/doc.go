// Package nearcache keeps values of a memcache.Client in the process. A hit is a
// look-up in memory instead of a round trip, and is never staler than a bound.
//
// # Guarantee
//
// Get, GetMulti and Fetch return a value that the key's server held at some moment
// not earlier than [Options.MaxStale] before the call began. That holds over lost,
// delayed and reordered invalidations, partitions, killed and restarted servers,
// and processes that were stopped. A process reads its own writes: once a write
// through the Cache has returned, no later read returns an older value. A value
// that the server evicted or that expired there early may be served until it is
// changed. With a failover policy that stores on other servers, the guarantee
// concerns the server on which the placement puts the key.
//
// # How it works
//
// A server with invalidations (lintel memcached --invalidate) numbers its changes
// and publishes them over ZeroMQ. For each server the Cache follows this feed, and
// four times in MaxStale it asks on the cache connection for the current numbers: a
// fence. When the feed has delivered everything up to the answer, all values are
// known to be as new as the moment of the question. No clocks are compared and no
// delay is assumed. A value whose server's last fence is too old is suspect: the
// server is asked for it again, and transfers it only if it changed.
//
// # Servers without invalidations
//
// New returns ErrNoInvalidations, or, with [Options.TTLOnly], the Cache keeps their
// values for MaxStale at most. The guarantee is the same; there are fewer hits.
//
// # Concurrency and locks
//
// All methods are safe for concurrent use. The order of locks: core.mu (changes of
// the fleet), server.mu (link and state of one server), the locks of the table's
// shards. A hit takes the lock of one shard.
//
// # Examples
//
// Example in example_test.go has a server with invalidations, a reader with a near
// cache, and a writer without one.
package nearcache
