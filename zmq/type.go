package zmq

import (
	"context"
	"fmt"
	"iter"
	"net"
	"strings"

	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// greets reports whether the option hello_msg applies to the type.
func greets(t zmtp.SocketType) bool {
	switch t {
	case zmtp.ROUTER, zmtp.DEALER, zmtp.CLIENT, zmtp.SERVER, zmtp.PEER:
		return true
	}
	return false
}

// Socket is implemented by all socket types. All its methods are safe for
// concurrent use.
type Socket interface {
	// Type returns the name of the socket type in capitals, such as "PUSH".
	Type() string

	// Bind listens at an endpoint and returns it with the port or path that
	// was chosen for a wildcard. The forms of endpoints are:
	//
	//	tcp://HOST:PORT          HOST an address, an interface or *; PORT a number or *
	//	ipc://PATH               PATH a path, @NAME (abstract, on Linux) or *
	//	inproc://NAME            within one Context
	//	ws://HOST:PORT/PATH      WebSocket (RFC 45), wss: over TLS
	//	vsock://CID:PORT         on Linux; each a number or *
	//	epgm://INTERFACE;GROUP:PORT  PUB, XPUB, SUB and XSUB only
	//	udp://HOST:PORT          RADIO, DISH and DGRAM only
	//
	// Bind returns ErrUnknownTransport for another scheme, ErrNotSupported for
	// a transport that does not carry the socket type, ErrAddressInUse for an
	// address that is in use, and ErrPathTooLong for a path that the system
	// cannot bind.
	Bind(endpoint string) (*Endpoint, error)

	// BindListener is Bind for a listener that the caller made. The peers speak
	// ZMTP. The socket closes the listener with the endpoint.
	BindListener(ln net.Listener) (*Endpoint, error)

	// Connect starts to connect to an endpoint and returns at once. The peer
	// may start later, and a lost connection is made again. Messages that are
	// sent before the peer is there wait for it. Connect fails only for an
	// endpoint that can never work, with the errors of Bind. Its forms are
	// those of Bind without wildcards; tcp://SOURCE;HOST:PORT also chooses the
	// local address. A second Connect of a DEALER, REQ, PUB or SUB to the same
	// endpoint returns the first Endpoint.
	Connect(endpoint string) (*Endpoint, error)

	// Stats returns the counters of the socket and of each of its peers.
	Stats() Stats

	// SetOption sets an option by libzmq's lower-case name without the ZMQ_,
	// such as "sndhwm", to a value in libzmq's unit. Most options apply to
	// later calls of Bind and Connect only. These apply at once: linger,
	// sndhwm, rcvhwm, sndtimeo, rcvtimeo, subscribe, unsubscribe,
	// unfinished_octets, and the
	// flags of ROUTER, REQ and XPUB. It returns ErrNotSupported for an unknown
	// name and for an option of another socket type.
	SetOption(name, value string) error

	// Option returns the value of an option as SetOption takes it, and those
	// that can only be read: type, last_endpoint and mechanism. Flags are "0"
	// or "1". The secrets curve_secretkey, plain_password, socks_password and
	// wss_key_pem cannot be read: ErrNotSupported.
	Option(name string) (string, error)

	// Events returns the socket's events from this call on. The sequence ends
	// when ctx is done or the socket is closed. A reader that is more than
	// 1,024 events behind loses the oldest; Event.Lost counts them.
	Events(ctx context.Context) iter.Seq[event.Event]

	// Close closes the socket. It waits up to the linger time for queued
	// messages to be handed to the operating system, then it drops them.
	// Blocked and later calls return ErrClosed.
	Close() error

	// CloseContext is Close with a wait that ends with ctx instead of the
	// linger time. If another call is closing the socket already, it waits for
	// that call, and returns an error when ctx is done first. So does Close
	// after the linger time.
	CloseContext(ctx context.Context) error

	base() *core
}

// Sender is a Socket that sends. What happens to a message that cannot be sent
// at once depends on the socket type: some wait, some drop it.
type Sender interface {
	Socket

	// Send sends a message of one or more frames. It copies them: the caller
	// may reuse them. When it has to wait it returns the error of ctx when
	// that is done, ErrWouldBlock after the option sndtimeo, ErrClosed or
	// ErrTerminated.
	Send(ctx context.Context, m Msg) error

	// SendOwned is Send that does not copy large frames. They must not be
	// changed afterwards.
	SendOwned(ctx context.Context, m Msg) error

	// SendBytes is Send for a message of one frame. It does not allocate.
	SendBytes(ctx context.Context, b []byte) error

	// TrySend is Send that returns ErrWouldBlock instead of waiting.
	TrySend(m Msg) error
}

// Receiver is a Socket that receives.
type Receiver interface {
	Socket

	// Recv receives a message. It waits until there is one, and returns the
	// error of ctx when that is done, ErrWouldBlock after the option rcvtimeo,
	// ErrClosed or ErrTerminated. The message belongs to the caller.
	Recv(ctx context.Context) (Msg, error)

	// RecvBytes is Recv for messages of one frame. For a message of several it
	// returns a *MultipartError that holds the message.
	RecvBytes(ctx context.Context) ([]byte, error)

	// RecvInto is RecvBytes that appends the frame to buf. The socket keeps
	// nothing of it. With enough capacity in buf it does not allocate.
	RecvInto(ctx context.Context, buf []byte) ([]byte, error)

	// RecvFrom is Recv that also returns the peer that sent the message. The
	// PeerInfo is empty when nothing is known of the peer.
	RecvFrom(ctx context.Context) (Msg, PeerInfo, error)

	// TryRecv is Recv that returns ErrWouldBlock instead of waiting.
	TryRecv() (Msg, error)

	// Messages yields messages until Recv fails. The last pair holds the error.
	Messages(ctx context.Context) iter.Seq2[Msg, error]

	// Views yields messages of one frame without copying or allocating. A view
	// is valid until the next iteration. The last pair holds the error, which
	// is a *MultipartError for a message of several frames.
	Views(ctx context.Context) iter.Seq2[[]byte, error]
}

// New makes a socket of a type known at run time by its name in any case,
// such as "push". The result is the pointer that the type's constructor
// returns, for instance *Push. For an unknown name it returns ErrNotSupported.
func New(socketType string, opts ...Option) (Socket, error) {
	switch strings.ToUpper(socketType) {
	case "PAIR":
		return result(NewPair(opts...))
	case "PUB":
		return result(NewPub(opts...))
	case "SUB":
		return result(NewSub(opts...))
	case "REQ":
		return result(NewReq(opts...))
	case "REP":
		return result(NewRep(opts...))
	case "DEALER":
		return result(NewDealer(opts...))
	case "ROUTER":
		return result(NewRouter(opts...))
	case "PULL":
		return result(NewPull(opts...))
	case "PUSH":
		return result(NewPush(opts...))
	case "XPUB":
		return result(NewXPub(opts...))
	case "XSUB":
		return result(NewXSub(opts...))
	case "STREAM":
		return result(NewStream(opts...))
	case "SERVER":
		return result(NewServer(opts...))
	case "CLIENT":
		return result(NewClient(opts...))
	case "RADIO":
		return result(NewRadio(opts...))
	case "DISH":
		return result(NewDish(opts...))
	case "GATHER":
		return result(NewGather(opts...))
	case "SCATTER":
		return result(NewScatter(opts...))
	case "DGRAM":
		return result(NewDgram(opts...))
	case "PEER":
		return result(NewPeer(opts...))
	case "CHANNEL":
		return result(NewChannel(opts...))
	}
	var names []string
	for t := zmtp.PAIR; t <= zmtp.CHANNEL; t++ {
		names = append(names, strings.ToLower(t.String()))
	}
	return nil, fmt.Errorf("zmq: socket type %q, expected one of %s: %w", socketType, strings.Join(names, " "), ErrNotSupported)
}

// result keeps a nil pointer from becoming a Socket that is not nil.
func result[S Socket](s S, err error) (Socket, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
