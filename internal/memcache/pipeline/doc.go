// Package pipeline carries the requests of many goroutines to one memcached server
// over one connection.
//
// A [Dialer] connects, encrypts, authenticates and finds out which protocol the
// server speaks (dial.go, handshake.go). A [Conn] then has three parts:
//
//   - the send queue (send.go): Send appends a request to it. One goroutine at a time
//     writes: the caller itself while little is in flight, otherwise the writer
//     goroutine, so that concurrent requests share writes;
//   - the reply reader (read.go): it matches replies with requests in order and
//     hands them out. parser (reply.go) parses them and can be interrupted at any
//     byte;
//   - the watchdog (watchdog.go): it closes the connection when a write or a reply is
//     overdue.
//
// A [Call] is one request with its reply (call.go, request.go).
//
// # Fast paths
//
// Reader ownership (owner.go): the goroutine of a caller that is alone on the
// connection reads its own reply. Raw connection (raw_unix.go): sockets are read and
// written by system calls that the scheduler does not see. Idle probe (probe_unix.go):
// before a request that must not be repeated, an idle connection is checked for EOF.
// Each file says what it gains and costs.
//
// # Invariants and locks
//
// Requests are written in the order in which they are queued; replies come in that
// order. sendQueue.mu protects the queue, the state of the connection and the
// watchdog's state. The reply reader's fields belong to the owner of reading (see
// owner.go), one goroutine at a time. interrupt.mu protects the registration of a
// caller's context. No lock is taken while interrupt.mu is held.
//
// A reply that does not match its request closes the connection. The requests behind
// it fail; none of them gets another request's reply.
package pipeline
