package zmq

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"lintel.dev/internal/zmq/zmtp"
)

// options are the settings of a socket. Those marked "at any time" also apply
// to existing connections; the others are copied by Bind and Connect.
type options struct {
	of        zmtp.SocketType // whose options these are
	Context   *Context        // nil: the default one
	Logger    *slog.Logger
	subscribe []string // topics of WithSubscribe

	SendHWM     int           // messages queued for each peer, 1000; 0: no limit; at any time
	RecvHWM     int           // messages queued from each peer, 1000; 0: no limit; at any time
	RecvBytes   int           // octets queued from each peer, 64 MiB; 0: no limit; likewise of all peers but for 1 MiB of each, at any time
	SendTimeout time.Duration // how long Send waits, -1: no limit; at any time
	RecvTimeout time.Duration // how long Recv waits, -1: no limit; at any time
	Linger      time.Duration // how long Close waits, 5 s (SUB, XSUB, DISH: 0), -1: no limit; at any time
	Conflate    bool          // keep only the latest message of one frame (DEALER PULL PUSH PUB SUB)
	// ConflateTopics keeps only the latest message of each topic (SUB).
	ConflateTopics bool

	Immediate  bool   // queue messages only for peers that are connected
	Identity   []byte // our routing id, 1 to 255 octets, the first not 0
	MaxMessage int64  // octets of a message that arrives; -1: no limit
	MaxFrame   int64  // octets of one of its frames, libzmq's maxmsgsize; -1: as many as of a message
	MaxFrames  int    // frames of a message that arrives
	// UnfinishedBytes bounds the octets that have arrived of incomplete messages, of
	// all peers together but the one with the most, 512 MiB; 0: no limit; at any time.
	UnfinishedBytes int
	Backlog         int           // of a listener, 100
	Reconnect       time.Duration // first wait before connecting again, 100 ms; -1: never
	ReconnectMax    time.Duration // the wait doubles up to this; 0: it does not grow
	Stop            int           // bits: when not to connect again

	HandshakeTimeout time.Duration // for greeting and security, 30 s; 0: none
	ConnectTimeout   time.Duration // for one attempt, 2 s; 0: the system's

	HeartbeatInterval time.Duration // between PINGs; 0: none
	HeartbeatTimeout  time.Duration // silence after a PING that ends the connection; -1: the interval
	HeartbeatTTL      time.Duration // sent to the peer, up to 6553.5 s

	RouterMandatory  bool   // at any time
	RouterHandover   bool   // at any time
	RouterNotify     int    // bits: which changes are delivered as a routing id and an empty frame
	ProbeRouter      bool   // send an empty message to each new peer
	RouterRaw        bool   // the peers of a ROUTER are those of a STREAM: they know no ZMTP
	ConnectRoutingID []byte // what ROUTER and STREAM call the peer of the next Connect

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

	StreamNotify bool // deliver connections and disconnections as empty messages, true

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

	// Dial, if set, makes the connections of tcp, ipc and vsock.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Rate          int           // kbit a second that a multicast source sends, 100
	Recovery      time.Duration // how far back a multicast source can repair, 10 s
	MulticastHops int           // multicast time to live, 1
	MulticastLoop bool          // deliver multicast on this host too, true
	MulticastTPDU int           // octets of the largest multicast datagram, 1500

	wssKey, wssCert  string      // of the options wss_key_pem and wss_cert_pem, until both are there
	TLS              *tls.Config // of wss; a bound socket needs a certificate
	WebSocketOrigins []string    // hosts whose pages may connect by ws and wss, "*" for all; none: our own

	Security security
	Metadata map[string]string // sent to peers; names start with X-
}

// The bits of router_notify.
const (
	notifyConnect    = 1
	notifyDisconnect = 2
)

// The bits of reconnect_stop.
const (
	stopOnRefused         = 1
	stopOnHandshakeFailed = 2
	stopAfterDisconnect   = 4
)

func defaultOptions(t zmtp.SocketType) options {
	o := options{
		of:      t,
		SendHWM: 1000, RecvHWM: 1000, RecvBytes: 64 << 20,
		SendTimeout: -1, RecvTimeout: -1,
		Linger:     5 * time.Second,
		MaxMessage: 1 << 30, MaxFrame: -1, MaxFrames: 1 << 16, UnfinishedBytes: 512 << 20,
		Backlog:          100,
		Reconnect:        100 * time.Millisecond,
		HandshakeTimeout: 30 * time.Second,
		// The kernel repeats a SYN after 1, 3, 7 ... seconds. An attempt that ends
		// before the second pause connects within 2 s of the return of a network.
		ConnectTimeout:   2 * time.Second,
		HeartbeatTimeout: -1,
		StreamNotify:     true,
		UseFD:            -1,
		SendBuffer:       -1, RecvBuffer: -1,
		KeepAlive: -1, KeepIdle: -1, KeepInterval: -1, KeepCount: -1,
		Rate: 100, Recovery: 10 * time.Second, MulticastHops: 1, MulticastLoop: true, MulticastTPDU: 1500,
	}
	if t == zmtp.SUB || t == zmtp.XSUB || t == zmtp.DISH {
		o.Linger = 0
	}
	return o
}

// Option configures a new socket. The constructors return the error of an
// option that has a bad value or is not one of the socket type.
type Option func(*options) error

func set(f func(*options)) Option {
	return func(o *options) error { f(o); return nil }
}

// InContext makes the socket part of c. Without it, the socket is part of a
// default Context.
func InContext(c *Context) Option { return set(func(o *options) { o.Context = c }) }

// WithLogger writes the socket's events to l: failures at level Warn, the
// others at level Debug.
func WithLogger(l *slog.Logger) Option { return set(func(o *options) { o.Logger = l }) }

// WithHWM sets both high-water marks: the number of messages that may be
// queued for each peer, and from each peer. 0 is no limit; the default is
// 1,000. The options sndhwm and rcvhwm set one of them.
func WithHWM(n int) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("zmq: high-water mark %d, expected 0 or more", n)
		}
		o.SendHWM, o.RecvHWM = n, n
		return nil
	}
}

// WithLinger sets how long Close waits for queued messages to be sent. A
// negative d is no limit, 0 drops them. The default is 5 s; for SUB, XSUB and
// DISH it is 0.
func WithLinger(d time.Duration) Option { return set(func(o *options) { o.Linger = d }) }

// WithIdentity sets the routing id by which ROUTER peers know this socket: 1
// to 255 octets, the first of which is not 0. The default is an id that the
// peer chooses.
func WithIdentity(id []byte) Option {
	return func(o *options) error {
		if err := checkIdentity(id); err != nil {
			return err
		}
		o.Identity = slices.Clone(id)
		return nil
	}
}

func checkIdentity(id []byte) error {
	if len(id) == 0 || len(id) > 255 {
		return fmt.Errorf("zmq: routing id of %d octets, expected 1 to 255", len(id))
	}
	if id[0] == 0 {
		return fmt.Errorf("zmq: routing id %q starts with octet 0, which is reserved for automatic ids", id)
	}
	return nil
}

// WithSubscribe subscribes a new SUB or XSUB to messages whose first frame
// starts with one of the prefixes, before its first Connect or Bind. The empty
// prefix subscribes to all messages.
func WithSubscribe(prefixes ...string) Option {
	return func(o *options) error {
		for _, prefix := range prefixes {
			if err := o.set("subscribe", prefix); err != nil {
				return err
			}
		}
		return nil
	}
}

// WithReconnect sets the wait before a lost connection is made again, and up to
// what it doubles with each failure. With a maximum of 0 it does not grow: every
// wait is random between first and twice first. A negative first disables
// reconnection. The defaults are 100 ms and 0.
func WithReconnect(first, maximum time.Duration) Option {
	return set(func(o *options) { o.Reconnect, o.ReconnectMax = first, maximum })
}

// WithHeartbeat sends a PING every interval. It ends a connection whose peer
// stays silent for timeout after a PING; a negative timeout is the interval.
// ttl, unless 0, asks the peer to end the connection after that much silence;
// it is at most 6553.5 s. An interval of 0, the default, sends no heartbeats.
func WithHeartbeat(interval, timeout, ttl time.Duration) Option {
	return set(func(o *options) {
		o.HeartbeatInterval, o.HeartbeatTimeout, o.HeartbeatTTL = interval, timeout, ttl
	})
}

// WithMaxMessage sets the largest message that the socket receives, in octets
// and in frames. A peer that exceeds one of them is disconnected. A negative
// number of octets is no limit. The defaults are 1 GiB and 65,536 frames.
func WithMaxMessage(octets int64, frames int) Option {
	return func(o *options) error {
		if frames < 1 {
			return fmt.Errorf("zmq: messages of at most %d frames, expected 1 or more", frames)
		}
		o.MaxMessage, o.MaxFrames = octets, frames
		return nil
	}
}

// WithDialer makes the connections of tcp, ipc and vsock with dial instead of
// a net.Dialer. The network is "tcp", "unix" or "vsock".
func WithDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) Option {
	return set(func(o *options) { o.Dial = dial })
}

// WithOption sets an option by name, as Socket.SetOption does.
func WithOption(name, value string) Option {
	return func(o *options) error { return o.set(name, value) }
}
