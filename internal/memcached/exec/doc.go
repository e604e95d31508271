// Package exec executes the commands of a cache server. It is shared by the
// front ends text, meta and binary, which only parse requests and encode
// replies.
//
// An [Engine] is one cache: its store, clock, counters, settings, log and
// connections. A [Conn] is the state of one connection between two calls of its
// session. A [Batch] executes the commands that one call of a session handles.
//
// A front end executes a command on an open transaction of the store:
//
//	var tx store.Txn
//	if b.Lookup(&tx, key, false) { // counts and logs a miss
//		... encode tx.Value() ...
//		b.Hit(&tx, key.Key, size, n) // counts, logs and ends tx
//	}
//
// Every counter, every line of watch and every figure of stats detail is written
// here, in one place for each kind of command: get.go, store.go, arith.go,
// delete.go, touch.go, flush.go. A command that needs more input, or time, leaves
// a [Pending] in its Conn: the data block of a set, a scan of all items, an answer
// that comes later ([Call]).
//
// # Where to add
//
//   - a counter: counters.go, and the line that shows it in stats.go
//   - a setting: a row of settingLines in settings.go
//   - a command: its execution in the file of its kind, its grammar and reply in
//     the front ends
//
// # Locks
//
// In the order in which they are taken: Crawler.mu and limit.mu; Engine.mu, which
// guards the list of connections and the start of background work; a shard of the
// store, between Begin and End of a transaction. Innermost are the locks of Settings,
// Clock, prefixes, Call, Job, auth.Brake and watch.Log. Of these only that of prefixes
// and the queue of watch.Log are taken while a shard is held.
package exec
