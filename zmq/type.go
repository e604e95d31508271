package zmq

import (
	"fmt"
	"strings"
)

// Type is the kind of a socket. Its values are libzmq's.
type Type uint8

// The socket types.
const (
	TypePair Type = iota
	TypePub
	TypeSub
	TypeReq
	TypeRep
	TypeDealer
	TypeRouter
	TypePull
	TypePush
	TypeXPub
	TypeXSub
	TypeStream
	TypeServer
	TypeClient
	TypeRadio
	TypeDish
	TypeGather
	TypeScatter
	TypeDgram
	TypePeer
	TypeChannel
)

var typeNames = [...]string{
	"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM",
	"SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL",
}

// String is the name used on the wire, in capitals.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// greets tells the types with which the option HelloMsg works.
func (t Type) greets() bool {
	return t == TypeRouter || t == TypeDealer || t == TypeClient || t == TypeServer || t == TypePeer
}

// ParseType reads the name of a socket type in any case.
func ParseType(name string) (Type, error) {
	for i, n := range typeNames {
		if strings.EqualFold(n, name) {
			return Type(i), nil
		}
	}
	return 0, fmt.Errorf("zmq: no socket type %q, expected one of %s", name, strings.ToLower(strings.Join(typeNames[:], " ")))
}

// Socket is what all socket types can do.
type Socket interface {
	// Type returns the kind of the socket.
	Type() Type
	// Bind accepts connections at an endpoint. The port of the returned
	// Endpoint is resolved.
	Bind(endpoint string) (*Endpoint, error)
	// Connect starts to connect to an endpoint and returns at once: the peer
	// may appear later, go and come back.
	Connect(endpoint string) (*Endpoint, error)
	// Stats returns what the socket did so far.
	Stats() Stats
	// SetOption sets an option by libzmq's lower-case name.
	SetOption(name, value string) error
	// Options returns the options as they are set.
	Options() Options
	// Close closes the socket, waiting at most the linger time for messages
	// that are still queued.
	Close() error

	base() *core
}

// Sender is a Socket that sends.
type Sender interface {
	Socket
	sender
}

// Receiver is a Socket that receives.
type Receiver interface {
	Socket
	receiver
}

// New makes a socket of a type known at run time. The result is the pointer
// its constructor returns, for instance *Push.
func New(t Type, opts ...Option) (Socket, error) {
	switch t {
	case TypePair:
		return result(NewPair(opts...))
	case TypePub:
		return result(NewPub(opts...))
	case TypeSub:
		return result(NewSub(opts...))
	case TypeReq:
		return result(NewReq(opts...))
	case TypeRep:
		return result(NewRep(opts...))
	case TypeDealer:
		return result(NewDealer(opts...))
	case TypeRouter:
		return result(NewRouter(opts...))
	case TypePull:
		return result(NewPull(opts...))
	case TypePush:
		return result(NewPush(opts...))
	case TypeXPub:
		return result(NewXPub(opts...))
	case TypeXSub:
		return result(NewXSub(opts...))
	case TypeStream:
		return result(NewStream(opts...))
	case TypeServer:
		return result(NewServer(opts...))
	case TypeClient:
		return result(NewClient(opts...))
	case TypeRadio:
		return result(NewRadio(opts...))
	case TypeDish:
		return result(NewDish(opts...))
	case TypeGather:
		return result(NewGather(opts...))
	case TypeScatter:
		return result(NewScatter(opts...))
	case TypeDgram:
		return result(NewDgram(opts...))
	case TypePeer:
		return result(NewPeer(opts...))
	case TypeChannel:
		return result(NewChannel(opts...))
	}
	return nil, fmt.Errorf("zmq: socket type %v: %w", t, ErrNotSupported)
}

// result keeps a nil pointer from becoming a Socket that is not nil.
func result[S Socket](s S, err error) (Socket, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
