// Package store keeps the items of a cache in bounded memory: it finds, replaces,
// expires and evicts them. It knows nothing of commands or protocols.
//
// How it works:
//
//   - A hash of the key, under a secret, selects one of up to 64 shards. A [Txn]
//     holds the lock of the key's shard, so that a command of several steps is
//     atomic.
//   - Items are records without padding, appended to segments of 16 to 64 KiB
//     (package arena). A large item has a segment to itself, an extent.
//   - The index of a shard is an array of leaves of 8-byte slots: location, use
//     count and tag. A leaf is ordered by tag and grows in place.
//   - Eviction is S3-FIFO over segments: a small queue, a main queue, and a ghost
//     with tags of items evicted from the small queue.
//   - Room comes first from expired and flushed items, then from segments that are
//     mostly dead, then from the oldest segment of all shards.
//   - FlushAll and FlushPrefix record a mark. Items before it are invisible at
//     once, and removed when they are found or swept.
//   - With Options.Path the memory is a mapped file. A later store builds its
//     index from it.
//
// # Invariants
//
// The memory in use exceeds Options.MaxBytes only while records are moved in
// order to free more. Every record that is not dead has exactly one slot. A record
// becomes part of its segment when it is complete, and the record that it
// replaces is marked as dead before: a killed process leaves no item twice and
// none half written.
//
// # Locks
//
// shard.mu guards a shard, its segments and its index. A goroutine that holds one
// takes another only by TryLock. arena.Pool's lock is taken last. Atomic
// fields of a shard are read by others without its lock, as hints. Readers of
// [Store.PrefetchItem] take no lock. [Hooks] run with the shard's lock held.
package store
