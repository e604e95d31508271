// Package engine carries messages between the queues of a socket and a peer,
// as the engines of libzmq do.
//
// A pipe of a socket has a queue in each direction (package flow). An Engine is
// what moves messages out of one and into the other: the Stream of this package
// over tcp, ipc and vsock, those of packages ws, udp and epgm, and the one of
// package zmq between two sockets of a process. An engine knows nothing of
// socket types. It hands what arrives to a Session. Kick makes it send.
//
// The life of a Conn: Handshake, Plug, Run, in this order and by one
// goroutine. Run reads until the connection ends. Output has no goroutine of
// its own while there is nothing to send: a sender that finds the queue idle
// calls Kick, which writes at once or starts a goroutine that writes until the
// queue is empty. So an idle connection costs one goroutine.
//
// Locks: the methods of an Engine may be called with locks of a socket held,
// except for Kick, which may call Session.Writable. The methods of a Session
// are called without a lock of the engine held.
package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Engine is what a pipe needs of whatever carries its messages.
type Engine interface {
	// Kick starts sending. The caller appended to the outgoing queue and got
	// flow.Wake. Kick may write to the connection before it returns, but does
	// not block. No lock of a socket may be held.
	Kick()
	// KickLater is Kick that leaves the writing to another goroutine.
	KickLater()
	// Resume continues input after Session.Push reported a full queue.
	Resume()
	// Subscribe sends a subscription to topic, or its cancellation.
	Subscribe(add bool, topic []byte)
	// Drain asks the peer to send no more messages. It reports whether the peer
	// will: the connection then ends once all that it sent is pushed to the session.
	Drain() bool
	// Close ends the connection without blocking. The reason of the first call
	// is the one that Run returns.
	Close(reason error)
	// Remote returns the address of the peer, "" in process.
	Remote() string
}

// Conn is an Engine over a connection or a datagram socket.
type Conn interface {
	Engine
	// Local returns our address of the connection.
	Local() string
	// Handshake agrees with the peer on protocol and security. ctx bounds what is
	// asked of an authenticator. Abort must follow an error.
	Handshake(ctx context.Context) (Peer, error)
	// Plug binds the engine to the session that it serves.
	Plug(s Session)
	// Run reads until the connection ends and returns the reason. When it
	// returns, no goroutine of the engine uses the outgoing queue.
	Run() error
	// Abort closes a connection for which Run will not be called. It returns when
	// no goroutine of the engine is left.
	Abort(reason error)
}

// Session is what an engine needs of the socket. Its methods are safe for
// concurrent use.
type Session interface {
	// Out returns the queue of messages to send.
	Out() *flow.Queue
	// Push hands over messages that arrived. full reports that the engine should
	// read no more until Resume. An error ends the connection. Push keeps the
	// batches, but not the slice.
	Push(batches []flow.Batch) (full bool, err error)
	// Ready reports whether Push would not report a full queue. If it would,
	// Resume is called later.
	Ready() bool
	// Prepare gives a batch without memory a buffer that the receiver recycles.
	Prepare(b *flow.Batch)
	// Command takes a SUBSCRIBE, CANCEL, JOIN, LEAVE or DRAIN of the peer.
	Command(c zmtp.Command, topic []byte)
	// Writable tells senders that the outgoing queue has room again.
	Writable()
	// Flushed tells that the outgoing queue is closed and everything is written.
	Flushed()
	// Unsent takes back messages that could not be written.
	Unsent(b flow.Batch)
	// Stranded tells that messages were written which the peer did not acknowledge
	// before the connection broke.
	Stranded(msgs int)
	// Borrow offers the reading half to a receiver, see DirectReader. It reports
	// false if no receiver wants it. cancelled, if not nil, is closed when the
	// receiver gives up.
	Borrow(r *DirectReader) (cancelled <-chan struct{}, ok bool)
	// Recall makes the receiver Return what it borrowed.
	Recall(r *DirectReader)
}

// Security is the part of a handshake that depends on the options of a socket.
type Security interface {
	// Mechanism returns this side of the security handshake.
	Mechanism() (zmtp.Mechanism, error)
	// Authenticate decides about the peer of m, which waits for a verdict. It
	// returns a ZAP status.
	Authenticate(ctx context.Context, m zmtp.Mechanism) (status int, err error)
}

// Config is what an engine needs to know of a socket's options.
type Config struct {
	Raw        bool            // no ZMTP: octets as they are, for STREAM
	Groups     bool            // subscriptions travel as JOIN and LEAVE
	SocketType zmtp.SocketType // announced to the peer
	Identity   []byte          // announced to peers older than ZMTP 3
	RequireV3  bool            // refuse peers older than ZMTP 3
	Security   Security
	// Admit, if not nil, refuses a peer with an identity that is taken. It is asked
	// before READY is sent: the READY of a NULL peer is waited for, for a short time.
	Admit func(identity []byte) error

	HandshakeTimeout  time.Duration // 0: no limit
	HeartbeatInterval time.Duration // between PINGs; 0: none are sent
	HeartbeatTimeout  time.Duration // silence after a PING that ends the connection; negative: the interval
	HeartbeatTTL      time.Duration // announced to the peer

	Limits
	Unfinished *Budget // of the socket; nil: no limit
	RecvHWM    int     // messages; 0: no limit
	SendBuffer int     // SO_SNDBUF, if it was set; 0 or less: unknown

	// LastWrite is when a sender of the socket last wrote by itself, in
	// nanoseconds since the package was initialised. The engines of a socket
	// share it.
	LastWrite *atomic.Int64
}

// Limits bound the messages that a peer may send. Negative sizes and a
// MaxFrames of 0 are no limit.
type Limits struct {
	MaxFrame   int64 // octets of a frame
	MaxMessage int64 // octets of all frames of a message
	MaxFrames  int   // frames of a message
}

// Frame returns the largest frame allowed in any message, negative: no limit.
func (l Limits) Frame() int64 {
	if l.MaxFrame < 0 || l.MaxMessage >= 0 && l.MaxMessage < l.MaxFrame {
		return l.MaxMessage
	}
	return l.MaxFrame
}

// Peer is what the handshake tells about a peer.
type Peer struct {
	Version     zmtp.Version
	Identity    []byte
	Metadata    zmtp.Metadata // as the peer sent it
	Unversioned bool          // too old to send subscriptions: gets everything
}

// Drains reports whether the peer answers DRAIN.
func (p *Peer) Drains() bool {
	_, ok := p.Metadata.Get(zmtp.PropertyDrain)
	return ok
}

// Subscription returns the frame that subscribes to topic, or cancels that.
// Peers older than ZMTP 3.1 know it as a message.
func (cfg *Config) Subscription(asMessage, add bool, topic []byte) (flags byte, body []byte) {
	switch {
	case cfg.Groups && add:
		return flow.Command, zmtp.AppendJoin(nil, string(topic))
	case cfg.Groups:
		return flow.Command, zmtp.AppendLeave(nil, string(topic))
	case asMessage && add:
		return 0, append([]byte{1}, topic...)
	case asMessage:
		return 0, append([]byte{0}, topic...)
	case add:
		return flow.Command, zmtp.AppendSubscribe(nil, topic)
	}
	return flow.Command, zmtp.AppendCancel(nil, topic)
}

// ErrClosed is the reason of a connection that this side closed.
var ErrClosed = errors.New("zmq: connection closed by this side")

// Ending keeps the first reason for which a connection is closed.
type Ending struct {
	once   sync.Once
	done   chan struct{}
	reason error // written before done is closed
}

// Init makes x ready.
func (x *Ending) Init() { x.done = make(chan struct{}) }

// Begin sets the reason, closes Done and calls release, the first time. When it
// returns, all of that has happened.
func (x *Ending) Begin(reason error, release func()) {
	x.once.Do(func() {
		x.reason = reason
		close(x.done)
		release()
	})
}

// Done returns a channel that is closed by Begin.
func (x *Ending) Done() <-chan struct{} { return x.done }

// Reason returns what the first call of Begin was given, once Done is closed.
func (x *Ending) Reason() error { return x.reason }
