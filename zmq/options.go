package zmq

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Options are the settings of a socket, as Socket.Options returns them. They
// are set with the functions named With... when the socket is made, or with
// SetOption by libzmq's names. All but those that say otherwise concern later
// Binds and Connects only.
type Options struct {
	of      Type     // whose options these are
	Context *Context // the inproc names it knows; nil: the default one
	Logger  *slog.Logger

	SendHWM     int           // messages queued for each peer, 1000; 0: no limit; at any time
	RecvHWM     int           // messages queued from each peer, 1000; 0: no limit; at any time
	SendTimeout time.Duration // how long Send waits, -1: forever; at any time
	RecvTimeout time.Duration // how long Recv waits, -1: forever; at any time
	Linger      time.Duration // how long Close waits, 5 s (SUB, XSUB, DISH: 0), -1: forever; at any time
	Conflate    bool          // keep only the latest message of one frame (DEALER PULL PUSH PUB SUB)
	// ConflateTopics keeps only the latest message of each topic (SUB).
	ConflateTopics bool

	Immediate    bool          // queue messages only for peers that are connected
	Identity     []byte        // our routing id, 1 to 255 octets, the first not 0
	MaxMessage   int64         // octets of a message that arrives; -1: no limit
	MaxFrame     int64         // octets of one of its frames, libzmq's maxmsgsize; -1: as many as of a message
	MaxFrames    int           // frames of a message that arrives
	Backlog      int           // of a listener, 100
	Reconnect    time.Duration // first wait before connecting again, 100 ms; -1: never
	ReconnectMax time.Duration // the wait doubles up to this; 0: it does not grow
	Stop         ReconnectStop // when not to connect again

	HandshakeTimeout time.Duration // for greeting and security, 30 s; 0: none
	ConnectTimeout   time.Duration // for one attempt; 0: the system's

	HeartbeatInterval time.Duration // between PINGs; 0: none
	HeartbeatTimeout  time.Duration // silence after a PING that ends the connection; -1: the interval
	HeartbeatTTL      time.Duration // what we tell the peer about us, up to 6553.5 s

	RouterMandatory  bool         // at any time
	RouterHandover   bool         // at any time
	RouterNotify     RouterNotify // deliver connections and disconnections as messages
	ProbeRouter      bool         // send an empty message to each new peer
	RouterRaw        bool         // the peers of a ROUTER are those of a STREAM: they know no ZMTP
	ConnectRoutingID []byte       // what ROUTER and STREAM call the peer of the next Connect

	ReqRelaxed   bool // at any time
	ReqCorrelate bool // at any time

	XPubVerbose            bool // at any time
	XPubVerboser           bool // at any time
	XPubNoDrop             bool // at any time
	XPubManual             bool
	XPubManualLastValue    bool
	XPubWelcome            []byte
	XSubVerboseUnsubscribe bool
	OnlyFirstSubscribe     bool
	InvertMatching         bool

	StreamNotify bool // tell connections and disconnections as empty messages, true

	HelloMsg, DisconnectMsg, HiccupMsg []byte

	IPv6         bool   // tcp names and wildcards mean IPv6 too
	SendBuffer   int    // SO_SNDBUF of tcp and multicast; -1: the system's
	RecvBuffer   int    // SO_RCVBUF of tcp and multicast; -1: the system's, for multicast 8 MiB if it allows that
	TOS          int    // IP_TOS
	Priority     int    // SO_PRIORITY
	BindToDevice string // SO_BINDTODEVICE
	KeepAlive    int    // 1 on, 0 off, -1: the system's
	KeepIdle     time.Duration
	KeepInterval time.Duration
	KeepCount    int
	MaxRT        time.Duration // TCP_USER_TIMEOUT

	AcceptFilters []string // addresses or networks that may connect by tcp; none: all
	IPCFilterUID  []int    // users that may connect by ipc; no filter: all
	IPCFilterGID  []int
	IPCFilterPID  []int

	SocksProxy, SocksUsername, SocksPassword string

	// UseFD, if not negative, is a listening descriptor that Bind adopts for tcp
	// and ipc instead of making one.
	UseFD int

	// Dial, if set, makes the connections of tcp and ipc.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Rate          int           // kbit a second that a multicast source sends, 100
	Recovery      time.Duration // how far back a multicast source can repair, 10 s
	MulticastHops int           // multicast time to live, 1
	MulticastLoop bool          // deliver multicast on this host too, true
	MulticastTPDU int           // octets of the largest multicast datagram, 1500

	wssKey, wssCert  string      // of the options wss_key_pem and wss_cert_pem, until both are there
	TLS              *tls.Config // of wss; a bound socket needs a certificate
	WebSocketOrigins []string    // hosts whose pages may connect by ws and wss, "*" for all; none: our own

	Security Security
	Metadata map[string]string // told to peers; names start with X-
}

// RouterNotify says which changes a ROUTER delivers as a message of the
// peer's routing id and an empty frame.
type RouterNotify int

// The bits of RouterNotify.
const (
	NotifyConnect    RouterNotify = 1
	NotifyDisconnect RouterNotify = 2
)

// ReconnectStop says after what a connection is not made again.
type ReconnectStop int

// The bits of ReconnectStop.
const (
	StopOnRefused         ReconnectStop = 1
	StopOnHandshakeFailed ReconnectStop = 2
	StopAfterDisconnect   ReconnectStop = 4
)

func defaultOptions(t Type) Options {
	o := Options{
		of:      t,
		SendHWM: 1000, RecvHWM: 1000,
		SendTimeout: -1, RecvTimeout: -1,
		Linger:     5 * time.Second,
		MaxMessage: 1 << 30, MaxFrame: -1, MaxFrames: 1 << 16,
		Backlog:          100,
		Reconnect:        100 * time.Millisecond,
		HandshakeTimeout: 30 * time.Second,
		HeartbeatTimeout: -1,
		StreamNotify:     true,
		UseFD:            -1,
		SendBuffer:       -1, RecvBuffer: -1,
		KeepAlive: -1, KeepIdle: -1, KeepInterval: -1, KeepCount: -1,
		Rate: 100, Recovery: 10 * time.Second, MulticastHops: 1, MulticastLoop: true, MulticastTPDU: 1500,
	}
	if t == TypeSub || t == TypeXSub || t == TypeDish {
		o.Linger = 0
	}
	return o
}

// maxFrame bounds a single frame; -1: no limit.
func (o *Options) maxFrame() int64 {
	if o.MaxFrame < 0 || o.MaxMessage >= 0 && o.MaxMessage < o.MaxFrame {
		return o.MaxMessage
	}
	return o.MaxFrame
}

// Option sets one of the Options of a new socket.
type Option func(*Options) error

func set(f func(*Options)) Option {
	return func(o *Options) error { f(o); return nil }
}

// WithContext makes the socket part of c instead of the default Context.
func WithContext(c *Context) Option { return set(func(o *Options) { o.Context = c }) }

// WithLogger logs the events of the socket: as warnings what went wrong, for
// debugging the rest.
func WithLogger(l *slog.Logger) Option { return set(func(o *Options) { o.Logger = l }) }

// WithHWM sets both high-water marks, in messages; 0 is no limit.
func WithHWM(n int) Option {
	return func(o *Options) error {
		if n < 0 {
			return fmt.Errorf("zmq: high-water mark %d, expected 0 or more", n)
		}
		o.SendHWM, o.RecvHWM = n, n
		return nil
	}
}

// WithSendHWM bounds the messages queued for each peer; 0 is no limit.
func WithSendHWM(n int) Option {
	return func(o *Options) error {
		if n < 0 {
			return fmt.Errorf("zmq: send high-water mark %d, expected 0 or more", n)
		}
		o.SendHWM = n
		return nil
	}
}

// WithRecvHWM bounds the messages queued from each peer; 0 is no limit.
func WithRecvHWM(n int) Option {
	return func(o *Options) error {
		if n < 0 {
			return fmt.Errorf("zmq: receive high-water mark %d, expected 0 or more", n)
		}
		o.RecvHWM = n
		return nil
	}
}

// WithLinger sets how long Close waits for queued messages to leave; a
// negative d is for ever, 0 drops them.
func WithLinger(d time.Duration) Option { return set(func(o *Options) { o.Linger = d }) }

// WithTimeouts bounds how long Send and Recv wait before they return
// ErrWouldBlock; a negative time is for ever.
func WithTimeouts(send, recv time.Duration) Option {
	return set(func(o *Options) { o.SendTimeout, o.RecvTimeout = send, recv })
}

// WithIdentity sets the routing id that ROUTER peers know this socket by: 1
// to 255 octets, the first of which is not 0.
func WithIdentity(id []byte) Option {
	return func(o *Options) error {
		if err := checkIdentity(id); err != nil {
			return err
		}
		o.Identity = append([]byte(nil), id...)
		return nil
	}
}

func checkIdentity(id []byte) error {
	if len(id) == 0 || len(id) > 255 {
		return fmt.Errorf("zmq: routing id of %d octets, expected 1 to 255", len(id))
	}
	if id[0] == 0 {
		return fmt.Errorf("zmq: routing id starts with octet 0, which is kept for automatic ids")
	}
	return nil
}

// WithReconnect sets the first wait before a lost connection is made again
// and the one up to which it doubles; with a maximum of 0 every wait is
// between first and twice first, at random. A negative first never
// reconnects.
func WithReconnect(first, maximum time.Duration) Option {
	return set(func(o *Options) { o.Reconnect, o.ReconnectMax = first, maximum })
}

// WithReconnectStop says after what not to connect again.
func WithReconnectStop(s ReconnectStop) Option { return set(func(o *Options) { o.Stop = s }) }

// WithHeartbeat sends a PING every interval and ends a connection whose peer
// stays silent for timeout after one (negative: the interval). ttl, if not 0,
// is after how much silence the peer should give us up.
func WithHeartbeat(interval, timeout, ttl time.Duration) Option {
	return set(func(o *Options) {
		o.HeartbeatInterval, o.HeartbeatTimeout, o.HeartbeatTTL = interval, timeout, ttl
	})
}

// WithHandshakeTimeout bounds greeting and security handshake; 0 is no limit.
func WithHandshakeTimeout(d time.Duration) Option {
	return set(func(o *Options) { o.HandshakeTimeout = d })
}

// WithConnectTimeout bounds one attempt to connect; 0 leaves it to the system.
func WithConnectTimeout(d time.Duration) Option {
	return set(func(o *Options) { o.ConnectTimeout = d })
}

// WithMaxMessage bounds the octets and frames of a message that arrives; a
// peer that exceeds them is disconnected. A negative size is no limit.
func WithMaxMessage(octets int64, frames int) Option {
	return set(func(o *Options) { o.MaxMessage, o.MaxFrames = octets, frames })
}

// WithConflate keeps only the latest message, of one frame, for or from each
// peer.
func WithConflate() Option { return set(func(o *Options) { o.Conflate = true }) }

// WithConflateTopics makes a SUB keep only the latest message of each topic,
// from each publisher, until it is received. A topic is the whole first frame;
// messages may have several. Topics come in the order in which they began to
// wait. The receive high-water mark bounds the topics that wait: beyond it, a
// publisher is held back, and drops messages, as it does without the option.
// Stats counts what was replaced.
func WithConflateTopics() Option { return set(func(o *Options) { o.ConflateTopics = true }) }

// WithImmediate queues messages only for peers that are connected: without
// one, Send waits, and what was queued for a lost peer is lost.
func WithImmediate() Option { return set(func(o *Options) { o.Immediate = true }) }

// WithIPv6 lets names and wildcards of tcp endpoints mean IPv6 addresses.
func WithIPv6() Option { return set(func(o *Options) { o.IPv6 = true }) }

// WithMandatory makes a ROUTER's Send return ErrHostUnreachable for an
// unknown routing id, and wait for a peer without room.
func WithMandatory() Option { return set(func(o *Options) { o.RouterMandatory = true }) }

// WithHandover lets a new peer take over the routing id of another, which is
// disconnected. Otherwise the newcomer is.
func WithHandover() Option { return set(func(o *Options) { o.RouterHandover = true }) }

// WithRelaxed lets a REQ send again without having received the reply, with
// correlate by ids, so that a late reply to the first request is not taken
// for one to the second.
func WithRelaxed(correlate bool) Option {
	return set(func(o *Options) { o.ReqRelaxed, o.ReqCorrelate = true, correlate })
}

// WithDialer makes tcp, ipc and vsock connections with dial instead of
// net.Dialer; network is "tcp", "unix" or "vsock".
func WithDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) Option {
	return set(func(o *Options) { o.Dial = dial })
}

// WithOption sets an option by libzmq's lower-case name.
func WithOption(name, value string) Option {
	return func(o *Options) error { return o.set(name, value) }
}
