// Package netloop serves stream connections: it moves bytes between sockets and
// the protocol sessions that understand them.
//
// How it works:
//
//   - [New] makes a [Loop]. Loop.Serve accepts connections from a listener, and
//     Config.NewSession makes a [Session] for each.
//   - A session gets what has arrived in Data, appends its replies to a [Writer],
//     and returns a [Step]: what the driver does next. It never touches a socket.
//   - On Linux, TCP and unix sockets are served by epoll loops, one goroutine
//     each, whose read and reply buffers belong to the loop. An idle connection
//     has none.
//   - While an epoll loop answers a connection, it has read the next ones, so that a
//     [Prefetcher] can load what they ask for.
//   - TLS connections of a [TLSListener] are served by the epoll loops too. Only
//     the handshake has a goroutine. Few handshakes compute at once, so that
//     they leave the loops their Ps.
//   - Other connections, and all on other systems, have a goroutine each.
//   - A session that returns [Yield] is called again after the other connections.
//     One that returns [Wait] is parked until [Conn.Wake].
//   - Conn.Send queues bytes from any goroutine, after the replies.
//
// # Invariants
//
// Calls of Data for one connection never overlap. Replies are sent in the order
// in which they were written. Session.Closed is called exactly once.
//
// Memory is bounded for each connection: input that a session does not consume
// by Config.MaxInput, replies that the peer does not read by Config.MaxQueued,
// bytes of Conn.Send by Config.SendBudget. Nothing is read while replies wait.
// A connection that exceeds a bound is closed, except that Send returns false.
// Pending TLS handshakes are bounded in memory together: the oldest are closed.
//
// # Locks
//
// Taken in this order: netLoop.lmu, core.gate, thread.mu; netLoop.lmu,
// netConn.smu; netConn.wmu, netConn.smu; pacer.mu, then handshake.mu or thread.mu.
// epollLoop.tmu and sendQueue.mu are taken with no other lock held, and none is
// taken under them. No session is called with a lock held. The rest of an epoll
// connection's state is owned by its loop, which other goroutines reach by a
// message in its inbox.
package netloop
