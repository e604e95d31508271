// Package zmq is an implementation of ZeroMQ in pure Go. It has every stable
// socket type of libzmq and its drafts, interoperates with libzmq and follows
// its semantics.
//
// A socket has a type for each pattern, made by its constructor. Bind and
// Connect return at once, in any order; connections are made and made again in
// the background. A message is a list of frames, sent and received as a whole.
//
//	push, err := zmq.NewPush()
//	_, err = push.Connect("tcp://127.0.0.1:5557")
//	err = push.SendBytes(ctx, []byte("work"))
//	err = push.Close()
//
// # Patterns
//
//	PUSH, PULL              a pipeline: each message goes to one worker
//	PUB, SUB, XPUB, XSUB    publications, filtered by a prefix of the first frame
//	REQ, REP                requests and replies in lockstep
//	DEALER, ROUTER          asynchronous requests and replies, and addressed messages
//	PAIR                    exactly one peer
//	STREAM                  plain TCP peers
//	CLIENT, SERVER, PEER    drafts: addressed messages of one frame
//	SCATTER, GATHER         drafts: a pipeline of messages of one frame
//	RADIO, DISH, DGRAM      drafts: groups, and UDP datagrams
//	CHANNEL                 draft: exactly one peer, messages of one frame
//
// # How it works
//
// A socket has one queue in each direction for each peer. Send appends to a
// queue, and usually writes to the connection itself; a goroutine for each
// connection reads and fills the other queue; Recv takes from the queues by
// fair queueing. The high-water marks bound the queues, in messages. A queue
// that is full makes Send wait, or drops the message, depending on the socket
// type. Peers in the same process share their queues.
//
// # Ownership
//
// Send copies what it is given: the caller may reuse its buffers at once.
// SendOwned does not copy large frames; they must not be changed afterwards.
// What Recv returns belongs to the caller. Small messages that arrived together
// share up to about 16 KiB of memory, which stays allocated as long as one of
// them is referenced; clone small messages that are kept for long. Msg.Release
// returns the memory of large frames for reuse; calling it is optional.
// RecvInto and Views leave nothing with the caller, so the socket reuses all of
// its memory. Within a process they are several times as fast as Recv.
//
// # Concurrency
//
// All methods of all sockets are safe for concurrent use. Cancelling the
// context of a blocked call never loses a message and never sends a part of
// one. A call looks at its context only when it has to wait.
//
// # Errors
//
// A call that waits returns the error of its context when that is done,
// ErrWouldBlock when the option sndtimeo or rcvtimeo ends the wait, ErrClosed
// when the socket is closed and ErrTerminated when its Context is shut down.
// Later calls also return ErrClosed or ErrTerminated. ErrNotSupported is
// returned for what a socket type, a transport or an option cannot do.
// Connection failures are not errors of calls: Socket.Events, Socket.Stats and
// WithLogger report them. The error of a call that timed out also names the last
// failed attempt to connect, if none succeeded since.
//
// # Options
//
// Options that are set by Go values have functions, such as WithCurve. All
// options of libzmq have names: WithOption and Socket.SetOption set them,
// Socket.Option reads them. OptionNames lists them.
//
// # Examples
//
// Complete programs, which run as tests, are in the files whose names end in
// _test.go:
//
//   - patterns: Example_requestReply, Example_publishSubscribe,
//     Example_ventilator, Example_broker, Example_loadBalancing,
//     Example_asynchronous, Example_peering, Example_stateExchange,
//     Example_multithreadedServer, Example_signals, Example_coordination.
//   - messages: ExampleMsg, Example_envelopes, ExampleRouter,
//     ExampleDealer_Request, ExampleWithSubscribe.
//   - operation: ExampleWithCurve, ExampleWithPlain, ExampleProxy_control,
//     ExamplePoller, ExamplePoller_Notify, ExamplePush_TrySend,
//     Example_highWaterMark, ExampleXPub_Stats, ExampleRouter_ClosePeer.
//
// # Differences from libzmq
//
// Close waits for queued messages for the linger time, which is 5 s by default
// instead of unlimited (0 for SUB, XSUB and DISH, as in libzmq).
//
// A message may have 1 GiB and 65,536 frames, unless WithMaxMessage changes
// that. A routing id that starts with a zero octet or is longer than 255 octets
// is refused.
//
// A second peer of a PAIR or CHANNEL, and one whose routing id is in use, is
// refused with an event. libzmq keeps it connected and ignores it.
//
// After a failed handshake a connection is tried again, unless the option
// reconnect_stop forbids it. Where security is on, peers older than ZMTP 3.0
// are refused.
//
// A socket with PLAIN or CURVE refuses multicast and udp, and so does a STREAM,
// because they would send in the clear. Req.Request returns ErrPeerGone when
// the peer that got the request disconnects.
//
// The subscriptions of one peer may take 64 MiB; its connection ends when it
// exceeds that. Subscriptions are never dropped at a high-water mark. Over a
// network a receiver may hold one read beyond its mark: 64 KiB, or 8 KiB with a
// mark of 100 or less. A sender may have one batch of about 256 KiB, or one
// larger frame, on its way beyond its mark.
package zmq
