// Package zmq4 has the API of github.com/go-zeromq/zmq4 on lintel.dev/zmq.
//
// A program changes the import path and nothing else:
//
//	import zmq4 "lintel.dev/compat/gozeromq"
//
// # How it works
//
// A Socket is a socket of lintel.dev/zmq. Dial and Listen make connections and
// listeners by the registered transport, and hand them to that socket, which
// speaks ZMTP. A goroutine for each socket reads its events: Dial waits for the
// event that ends its handshake, and the end of a connection becomes io.EOF.
//
// # What is kept
//
// Dial returns when the handshake is complete. It tries again as
// WithDialerRetry and WithDialerMaxRetries say.
//
// Without WithAutomaticReconnect a lost connection stays lost. After the
// messages that had arrived, Recv of SUB, XSUB, PULL, DEALER and PAIR returns
// io.EOF, and so does Recv of a REQ that waits for its reply. Losses that
// happen before a Recv are one io.EOF. Send returns an error that wraps
// ErrClosedConn when all connections of a dialling socket are lost; a REQ
// without a connection returns "zmq4: no connections available".
//
// When the context of the constructor is done, the socket closes. Calls return
// the context's error, also after Close: context.Canceled. Send waits for at
// most WithTimeout, 5 minutes by default, and then returns
// context.DeadlineExceeded. Recv waits without a limit.
//
// A socket has an identity of its own, a random UUID unless WithID sets one. A
// ROUTER shows peers without an identity as a UUID, too.
//
// # What differs
//
// PUSH, DEALER and REQ send each message to one peer in turn, as libzmq does;
// go-zeromq sends it to all. REP ends the envelope at the first empty frame.
// Commands of a peer, such as PING, are answered and never received.
// WithAutomaticReconnect connects each lost endpoint again, for as long as the
// socket is open; Recv then returns no io.EOF.
//
// Queues hold 1,000 messages for each peer in each direction. A PUB drops what a
// slow subscriber does not take; SetOption(OptionHWM, n) changes the mark, 0
// removes it. Messages are bounded to 1 GiB.
//
// The handshake of a peer takes at most 30 s, or WithDialerTimeout if that is
// less. A slow peer delays no other.
//
// Close waits up to 1 s for queued messages to be sent.
//
// A socket with plain.Security that listens accepts clients with its user name
// and password; go-zeromq accepts all. Sockets carry the NULL and PLAIN
// mechanisms. Another Security works with Open and is an error of Dial and
// Listen.
//
// inproc endpoints are shared by the sockets of this package only.
//
// # Examples
//
// Example in example_test.go is a PUSH and a PULL.
package zmq4
