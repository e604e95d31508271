// Package flow moves messages between a socket and its peers.
//
// Queue is one direction between a socket and a peer, with a high-water mark.
// Messages travel in it as batches of bytes in the framing of ZMTP 2.0 and later
// (a flags octet, a size of one or eight octets, the payload), whatever the
// transport. A batch is written to the network as it is, or parsed in place by a
// Cursor, so that nothing is allocated for one message. Log is a sequence of
// messages that several queues share. RoundRobin is the order of peers in fair
// queueing and load balancing, Waiters the goroutines parked on a socket, and
// Prefixes the topics of subscriptions.
//
// Locks: a Queue and a Log have one each, and a Log's is taken with that of a
// Queue held, never the reverse. Nothing else is locked under them. RoundRobin,
// Waiters, Prefixes, Run, Batch and Cursor have none; their owner's lock protects
// them. No function returns with another lock state than it was called in.
package flow
