package zmq4

import "strings"

// Type is the type of a socket.
type Type int

// The types of sockets.
const (
	PAIR   = Type(0)
	PUB    = Type(1)
	SUB    = Type(2)
	REQ    = Type(3)
	REP    = Type(4)
	DEALER = Type(5)
	ROUTER = Type(6)
	PULL   = Type(7)
	PUSH   = Type(8)
	XPUB   = Type(9)
	XSUB   = Type(10)
	STREAM = Type(11)
)

var typeNames = []string{"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM"}

func (t Type) String() string { return nameOf(int(t), typeNames) }

// Flag is a flag of Send and Recv.
type Flag int

// The flags of Send and Recv.
const (
	DONTWAIT = Flag(1)
	SNDMORE  = Flag(2)
)

func (f Flag) String() string { return bitNames(int(f), []string{"DONTWAIT", "SNDMORE"}) }

// State is what a socket can do without waiting.
type State int

// The bits of a State.
const (
	POLLIN  = State(1)
	POLLOUT = State(2)
)

func (s State) String() string { return bitNames(int(s), []string{"POLLIN", "POLLOUT"}) }

// Event is a set of events of Monitor, or one event of RecvEvent.
type Event int

// The events of a monitor.
const (
	EVENT_ALL                        = Event(0xFFFF)
	EVENT_CONNECTED                  = Event(0x0001)
	EVENT_CONNECT_DELAYED            = Event(0x0002)
	EVENT_CONNECT_RETRIED            = Event(0x0004)
	EVENT_LISTENING                  = Event(0x0008)
	EVENT_BIND_FAILED                = Event(0x0010)
	EVENT_ACCEPTED                   = Event(0x0020)
	EVENT_ACCEPT_FAILED              = Event(0x0040)
	EVENT_CLOSED                     = Event(0x0080)
	EVENT_CLOSE_FAILED               = Event(0x0100)
	EVENT_DISCONNECTED               = Event(0x0200)
	EVENT_MONITOR_STOPPED            = Event(0x0400)
	EVENT_HANDSHAKE_FAILED_NO_DETAIL = Event(0x0800)
	EVENT_HANDSHAKE_SUCCEEDED        = Event(0x1000)
	EVENT_HANDSHAKE_FAILED_PROTOCOL  = Event(0x2000)
	EVENT_HANDSHAKE_FAILED_AUTH      = Event(0x4000)
)

var eventNames = []string{
	"EVENT_CONNECTED", "EVENT_CONNECT_DELAYED", "EVENT_CONNECT_RETRIED", "EVENT_LISTENING", "EVENT_BIND_FAILED",
	"EVENT_ACCEPTED", "EVENT_ACCEPT_FAILED", "EVENT_CLOSED", "EVENT_CLOSE_FAILED", "EVENT_DISCONNECTED",
	"EVENT_MONITOR_STOPPED", "EVENT_HANDSHAKE_FAILED_NO_DETAIL", "EVENT_HANDSHAKE_SUCCEEDED",
	"EVENT_HANDSHAKE_FAILED_PROTOCOL", "EVENT_HANDSHAKE_FAILED_AUTH",
}

func (e Event) String() string {
	if e == EVENT_ALL {
		return "EVENT_ALL"
	}
	return bitNames(int(e), eventNames)
}

// Mechanism is a security mechanism.
type Mechanism int

// The security mechanisms. There is no GSSAPI.
const (
	NULL   = Mechanism(0)
	PLAIN  = Mechanism(1)
	CURVE  = Mechanism(2)
	GSSAPI = Mechanism(3)
)

var mechanismNames = []string{"NULL", "PLAIN", "CURVE", "GSSAPI"}

func (m Mechanism) String() string { return nameOf(int(m), mechanismNames) }

func nameOf(n int, names []string) string {
	if n < 0 || n >= len(names) {
		return "<INVALID>"
	}
	return names[n]
}

// bitNames joins the names of the bits that are set in n, from the lowest on.
func bitNames(n int, names []string) string {
	var set []string
	for i, name := range names {
		if n&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	if set == nil {
		return "<NONE>"
	}
	return strings.Join(set, "|")
}

// Version returns the version of libzmq whose behaviour this package has.
func Version() (major, minor, patch int) { return 4, 3, 5 }

// HasIpc reports whether there is a transport ipc.
func HasIpc() bool { return true }

// HasPgm reports whether there is a transport pgm or epgm.
func HasPgm() bool { return true }

// HasTipc reports whether there is a transport tipc.
func HasTipc() bool { return false }

// HasNorm reports whether there is a transport norm.
func HasNorm() bool { return false }

// HasCurve reports whether there is a mechanism CURVE.
func HasCurve() bool { return true }

// HasGssapi reports whether there is a mechanism GSSAPI.
func HasGssapi() bool { return false }
