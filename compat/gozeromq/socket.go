package zmq4

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/compat/gozeromq/transport"
	"lintel.dev/zmq"
)

// The defaults of the options, and the linger time of Close.
const (
	defaultRetry      = 250 * time.Millisecond
	defaultMaxRetries = 10
	defaultTimeout    = 5 * time.Minute
	linger            = time.Second
	maxHandshake      = 30 * time.Second
)

// Errors of sockets and of Conn.
var (
	// ErrBadProperty is returned for an option that the socket does not have,
	// and for a value of the wrong type.
	ErrBadProperty = errors.New("zmq4: bad property")
	// ErrBadCmd is returned for a malformed or unexpected command.
	ErrBadCmd = errors.New("zmq4: invalid command name")
	// ErrBadFrame is returned for a message where a command was expected.
	ErrBadFrame = errors.New("zmq4: invalid frame")
	// ErrClosedConn is returned for a connection that ended, by calls of a Conn
	// and by Send of a socket that has lost all its connections.
	ErrClosedConn = errors.New("zmq4: read/write on closed connection")

	errNoConnections = errors.New("zmq4: no connections available")
	errNoFrames      = errors.New("zmq4: message without frames")
)

// Socket is a ZeroMQ socket. All methods are safe for concurrent use.
type Socket interface {
	// Close closes the socket. It waits up to 1 s for queued messages to be
	// sent.
	Close() error

	// Send sends a message. It waits up to the time of WithTimeout where the
	// socket type waits for a peer.
	Send(msg Msg) error

	// SendMulti is Send.
	SendMulti(msg Msg) error

	// Recv receives a message. It waits until there is one. It returns io.EOF
	// when a connection was lost, as the package documentation says.
	Recv() (Msg, error)

	// Listen binds the socket to an endpoint.
	Listen(ep string) error

	// Dial connects the socket to an endpoint, and returns when messages flow.
	Dial(ep string) error

	// Type returns the type of the socket.
	Type() SocketType

	// Addr returns the address of the last Listen, and nil if there is none.
	Addr() net.Addr

	// GetOption returns the value of an option that SetOption set.
	GetOption(name string) (interface{}, error)

	// SetOption sets an option.
	SetOption(name string, value interface{}) error
}

// Topics is implemented by PUB, XPUB and SUB sockets.
type Topics interface {
	// Topics returns the topics of a SUB, or those that the peers of a PUB or
	// XPUB subscribe to, sorted.
	Topics() []string
}

// socket is every type of Socket.
type socket struct {
	typ        SocketType
	id         SocketIdentity
	sec        Security
	log        *log.Logger
	retry      time.Duration
	maxRetries int
	timeout    time.Duration
	reconnect  bool
	dialer     net.Dialer

	err   error // why the socket could not be made: the result of all calls
	z     zmq.Socket
	send  zmq.Sender   // nil for PULL and SUB
	recv  zmq.Receiver // nil for PUSH and PUB
	shut  sync.Once
	peers peerState
	wg    sync.WaitGroup // the reader of events, which ends with the socket
	nr    atomic.Uint64  // of the last Dial
	ids   routingIDs

	ctx    context.Context // done when the socket is closed
	cancel context.CancelFunc

	// opening is held while an endpoint is opened: the security options are
	// those of one endpoint, and Close waits for its end.
	opening sync.Mutex
	closing bool // no endpoint is opened any more; protected by opening

	mu sync.Mutex
	// The fields below are protected by mu.
	props    map[string]interface{}
	topics   map[string]struct{} // of a SUB
	addr     net.Addr
	targets  map[string]*target // by the address that stands for an endpoint
	watching bool               // the reader of events was started, or must not be
}

// target is an endpoint that Dial connected to.
type target struct {
	trans transport.Transport
	addr  string
	first net.Conn // that Dial made, until the socket takes it
}

// topicSocket is a socket whose Topics are known.
type topicSocket struct{ *socket }

func newSocket(ctx context.Context, typ SocketType, opts []Option) *socket {
	if ctx == nil {
		ctx = context.Background()
	}
	s := &socket{
		typ: typ, retry: defaultRetry, maxRetries: defaultMaxRetries, timeout: defaultTimeout,
		dialer: net.Dialer{Timeout: defaultTimeout},
		props:  make(map[string]interface{}), topics: make(map[string]struct{}), targets: make(map[string]*target),
	}
	for _, o := range opts {
		o(s)
	}
	if len(s.id) == 0 {
		s.id = SocketIdentity(newUUID())
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.peers.init(s)
	s.ids.init()
	if s.z, s.err = zmq.New(string(typ), s.options()...); s.err != nil {
		s.err = fmt.Errorf("zmq4: %w", s.err)
		return s
	}
	s.send, _ = s.z.(zmq.Sender)
	s.recv, _ = s.z.(zmq.Receiver)
	context.AfterFunc(s.ctx, s.close)
	return s
}

// options are the options of the socket below.
func (s *socket) options() []zmq.Option {
	wait := time.Duration(-1)
	if s.reconnect {
		wait = max(s.retry, time.Millisecond)
	}
	handshake := maxHandshake
	if s.dialer.Timeout > 0 {
		handshake = min(handshake, max(s.dialer.Timeout, time.Millisecond))
	}
	opts := []zmq.Option{
		zmq.WithIdentity(s.id),
		zmq.WithReconnect(wait, 0),
		zmq.WithDialer(s.dial),
		zmq.WithOption("handshake_ivl", milliseconds(handshake)),
		zmq.WithOption("sndtimeo", milliseconds(max(s.timeout, 0))),
	}
	if _, _, ok, _ := s.plain(); ok {
		opts = append(opts, zmq.WithAuthenticator(s.authenticate))
	}
	switch s.typ {
	case Sub, XSub:
	default:
		opts = append(opts, zmq.WithLinger(linger))
	}
	switch s.typ {
	case Router:
		// A client that comes back under its identity replaces its old
		// connection, which may look alive for some time.
		opts = append(opts, zmq.WithOption("router_handover", "1"))
	case Req:
		opts = append(opts, zmq.WithOption("req_relaxed", "1"))
	}
	return opts
}

// milliseconds is d as an option, rounded up.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}

// newUUID returns a random UUID of version 4 (RFC 9562).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return formatUUID(b)
}

func formatUUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NewPair returns a PAIR socket. It closes when ctx is done.
func NewPair(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Pair, opts) }

// NewPub returns a PUB socket. It closes when ctx is done.
func NewPub(ctx context.Context, opts ...Option) Socket {
	return topicSocket{newSocket(ctx, Pub, opts)}
}

// NewSub returns a SUB socket. It closes when ctx is done.
func NewSub(ctx context.Context, opts ...Option) Socket {
	return topicSocket{newSocket(ctx, Sub, opts)}
}

// NewReq returns a REQ socket. It closes when ctx is done.
func NewReq(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Req, opts) }

// NewRep returns a REP socket. It closes when ctx is done.
func NewRep(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Rep, opts) }

// NewDealer returns a DEALER socket. It closes when ctx is done.
func NewDealer(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Dealer, opts) }

// NewRouter returns a ROUTER socket. It closes when ctx is done.
func NewRouter(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Router, opts) }

// NewPull returns a PULL socket. It closes when ctx is done.
func NewPull(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Pull, opts) }

// NewPush returns a PUSH socket. It closes when ctx is done.
func NewPush(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, Push, opts) }

// NewXPub returns an XPUB socket. It closes when ctx is done.
func NewXPub(ctx context.Context, opts ...Option) Socket {
	return topicSocket{newSocket(ctx, XPub, opts)}
}

// NewXSub returns an XSUB socket. It closes when ctx is done.
func NewXSub(ctx context.Context, opts ...Option) Socket { return newSocket(ctx, XSub, opts) }

// Type returns the type of the socket.
func (s *socket) Type() SocketType { return s.typ }

// Addr returns the address of the last Listen.
func (s *socket) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close closes the socket. Later calls wait for the first one and return nil.
func (s *socket) Close() error {
	s.cancel()
	s.close()
	return nil
}

// close closes the socket below, once, and waits until it is closed.
func (s *socket) close() {
	s.shut.Do(func() {
		if s.z == nil {
			return
		}
		s.opening.Lock()
		s.closing = true
		s.opening.Unlock()
		s.z.Close()
		s.wg.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range s.targets {
			if t.first != nil {
				t.first.Close()
			}
		}
		clear(s.targets)
	})
}

// Topics returns the topics of a SUB, or those of the peers of a PUB or XPUB.
func (s topicSocket) Topics() []string {
	if p, ok := s.z.(interface{ Topics() []string }); ok && s.typ != Sub {
		return p.Topics()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.topics))
}

// subscribe adds or removes a subscription of a SUB. A topic is subscribed to
// once, however often it is added.
func (s *socket) subscribe(topic string, add bool) error {
	sub, ok := s.z.(*zmq.Sub)
	if !ok {
		return ErrBadProperty
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, have := s.topics[topic]
	switch {
	case add == have:
		return nil
	case add:
		s.topics[topic] = struct{}{}
		return sub.Subscribe(topic)
	}
	delete(s.topics, topic)
	return sub.Unsubscribe(topic)
}
