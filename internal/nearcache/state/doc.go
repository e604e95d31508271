// Package state holds what a near cache knows: a [Table] of values, a [Source]
// for each server, and a [Link] for each feed of invalidations. It does no I/O
// and reads no clock, so that a test can drive it through every order of events.
//
// # Freshness
//
// A Source has a time, fresh: every change that its server made before that time
// has been applied to the table. A [Link] moves it on by round trips. It asks the
// server for its sequence numbers at time t; when the feed has delivered
// everything up to the answer, fresh becomes t. A value of the table is served at
// time now if now - max(fresh, time at which the value was asked for) is at most
// the caller's bound.
//
// A Source has a generation, gen. Whenever records may have been lost, gen is
// raised. Entries and replies of an earlier generation are not served before the
// server confirmed them.
//
// # States of a key
//
//	absent   nothing is known
//	pending  the server was asked; the reply is kept only if the token stands
//	valid    a value, or the knowledge that there is none
//	writing  own writes are under way; replies are not kept
//
// A key can be valid and pending at once, while its value is being confirmed. A
// record of the feed makes a key absent and voids the token. A write does the
// same when it begins, and no token is given until it ended. Hence a reply is
// kept only if no change was published, made by this process, or possibly lost
// between the question and the answer.
//
// # Invariants and locks
//
// Each shard of the table has one lock, which protects its entries, queues and
// tokens. Source is atomic: readers load fresh before gen, writers store gen
// before fresh. A Link is not safe for concurrent use; it takes shard locks.
package state
