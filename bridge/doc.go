// Package bridge puts a message store behind ZeroMQ sockets: producers and workers
// keep their sockets and languages, and messages survive the failure of processes
// and machines.
//
// A [Queue] is a work queue. Producers put messages with REQ or DEALER sockets and
// get a reply when the engine holds them, or with PUSH and get none. Workers take
// jobs with REQ or DEALER sockets and acknowledge them, or with PULL and cannot.
// A [Log] is a feed (package zmq/feed) whose messages are replayed from the store.
// docs/bridge.md specifies the protocol, and what each combination guarantees.
//
// Messages are stored by an engine: package jetstream on a NATS cluster, package
// memory for tests. The program lintel-bridge, in the module of
// lintel.dev/bridge/embedded, adds a NATS server inside the process.
//
// # How it works
//
// Each socket of producers has a goroutine that reads a message, parses it (package
// internal/protocol) and puts it into the engine. The engine blocks a put while too
// many are outstanding; the goroutine then reads no more, and the producers reach
// their high-water marks. The engine's receipt sends the reply.
//
// Workers are the business of a Desk (package internal/dispatch). The queue fetches
// as many jobs from the engine as workers have room for. A job that is not finished
// returns to the engine at once when the connection of its worker ends, or its
// heartbeats stop.
//
// # What a peer can cost
//
// Replies are never waited for: a peer that does not read loses them beyond the
// high-water mark of its socket. The messages of one producer that wait to be read
// are bounded by rcvhwm and rcvhwm_octets, those that wait for the engine by
// engine.QueueConfig.MaxOutstanding. A worker holds at most MaxCredit jobs.
//
// # Locks
//
// Queue and Log have none of their own. Desk.mu is held while messages are sent to
// workers, which does not block.
package bridge
