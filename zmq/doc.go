// Package zmq is ZeroMQ in Go: every stable socket of libzmq and its drafts,
// on the wire and in behaviour libzmq's own, without cgo.
//
// A socket has a type for each pattern, made by its constructor; Bind and
// Connect are asynchronous; a message is sent and received whole.
//
//	push, err := zmq.NewPush()
//	_, err = push.Connect("tcp://127.0.0.1:5557")
//	err = push.SendBytes(ctx, []byte("work"))
//	err = push.Close()
//
// # Ownership
//
// Send copies what it is given: the caller may reuse its buffers at once.
// SendOwned takes large frames without copying; nobody may change them
// afterwards. What Recv returns belongs to the caller. Small messages that
// arrived together share memory, at most about 16 KiB of it, which stays
// alive as long as one of them does; a program that keeps a few small
// messages for long may want to clone them. Msg.Release gives large frames
// back for reuse; forgetting it is safe. RecvInto and Frames leave nothing
// with the caller, so that the socket uses all of its memory again: within a
// process they are several times as fast.
//
// # Concurrency
//
// Every method of every socket is safe for concurrent use. Cancelling the
// context of a blocked call never loses a message and never sends half of
// one. A call looks at its context only when it has to wait.
//
// # Errors
//
// A call that waits returns the error of its context when that ends,
// ErrWouldBlock when the time of WithTimeouts is over, ErrClosed when the socket
// is closed and ErrTerminated when its Context is shut down; so do later calls,
// the last two. What a socket, an option or an endpoint cannot do is
// ErrNotSupported. What happens to connections is no error of any call: Events,
// Stats and WithLogger tell it.
//
// # Differences from libzmq
//
// Close waits for queued messages to leave, for the linger time, which is
// 5 s by default instead of forever (0 for SUB, XSUB and DISH, as in libzmq).
//
// A message is limited to 1 GiB and 65,536 frames unless WithMaxMessage says
// otherwise. A routing id that starts with a zero octet or is longer than 255
// is refused.
//
// A second peer of a PAIR or CHANNEL, and one whose routing id is taken, is
// turned away with an event instead of staying connected and unheard.
//
// After a failed handshake a connection is tried again, unless
// WithReconnectStop says not to. Where security is on, peers older than
// ZMTP 3.0 are refused.
//
// A socket set to PLAIN or CURVE is refused by multicast, by udp and as a STREAM,
// which would talk in the clear. Request of a REQ returns ErrPeerGone when the
// peer that was asked goes away.
//
// The subscriptions of one peer may take 64 MiB, or its connection ends. They
// are never lost to a high-water mark. Over a network a receiver may hold one
// read beyond its mark, 64 KiB or, with a mark of 100 or less, 8 KiB; a sender
// may have one batch of about 256 KiB, or one larger frame, on its way beyond
// its own.
package zmq
