// Package server publishes the changes of a memcached server for near caches: caches
// of values inside the clients' processes.
//
// A [Publisher] is the [memcached.Options.Feed] of one server:
//
//	feed, err := server.New(&server.Config{Endpoints: []string{"tcp://*:11311"}})
//	...
//	cache, err := memcached.New(memcached.Options{Feed: feed})
//
// How it works:
//
//   - The server calls Change for every change, with a lane of the cache locked. Change
//     appends a record of 9 octets to the ring of the lane: what happened and a hash of
//     the key.
//   - One goroutine takes what the rings hold and sends it on an XPUB socket, a message
//     for each lane. While it sends, more records gather, so that messages get larger as
//     the load grows.
//   - A ring that is full is emptied, and a record says that changes were lost. A
//     subscriber that is slower than the changes misses messages, and notices it by the
//     numbers of the next one.
//   - Every Config.Heartbeat the last number of each lane is sent, so that the loss of a
//     last message is noticed, too.
//   - The command mf of the cache answers the numbers of the moment (a fence), the epoch
//     and the endpoints. It is what makes a bound on the age of a near cache possible.
//
// Without subscribers the changes are numbered and nothing else.
//
// # Invariants
//
// The numbers of a lane that subscribers receive only grow. A heartbeat is sent after
// every record up to its number.
//
// # Bounds
//
// A ring holds 4,096 records and 36 KiB; a cache has at most 64. A stopped subscriber
// costs at most 4,096 messages of at most 256 records. What subscribers send is read and dropped.
//
// # Locks
//
// ring.mu guards a ring. It is taken under the lock of a lane of the cache, and no
// other lock is taken under it.
package server
