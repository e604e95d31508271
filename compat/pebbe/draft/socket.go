package zmq4

import (
	"encoding/binary"
	"fmt"

	zmq4 "lintel.dev/compat/pebbe"
	"lintel.dev/compat/pebbe/internal/hooks"
	"lintel.dev/zmq"
)

type (
	socket  = zmq4.Socket
	context = zmq4.Context
)

// Socket is a socket. Methods whose names start with Get or Set read or set
// options.
type Socket struct {
	*socket // nil: never opened
	ctx     *Context
}

// Context is a group of sockets that can be terminated together, and within
// which inproc endpoints are known.
type Context struct{ *context }

// defaultContext is that of the functions without a Context.
var defaultContext = &Context{hooks.DefaultContext.(*zmq4.Context)}

// NewContext returns a new Context. It is terminated when it becomes
// unreachable.
func NewContext() (ctx *Context, err error) {
	c, err := zmq4.NewContext()
	return &Context{c}, err
}

// NewSocket makes a socket. Its linger time is without limit (for SUB, XSUB and
// DISH 0) until SetLinger changes it. The socket is closed when it becomes
// unreachable.
func (ctx *Context) NewSocket(t Type) (soc *Socket, err error) {
	s, err := ctx.context.NewSocket(zmq4.Type(t))
	return &Socket{s, ctx}, err
}

// NewSocket is Context.NewSocket of the default context.
func NewSocket(t Type) (soc *Socket, err error) { return defaultContext.NewSocket(t) }

// Context returns the context of the socket.
func (soc *Socket) Context() (*Context, error) {
	if _, err := soc.socket.Context(); err != nil {
		return nil, err
	}
	return soc.ctx, nil
}

// String returns the type and the routing id, or an address if there is none.
func (soc Socket) String() string {
	if soc.socket == nil {
		return "Socket(CLOSED)"
	}
	return soc.socket.String()
}

// GetType returns the type of the socket.
func (soc *Socket) GetType() (Type, error) {
	t, err := soc.socket.GetType()
	return Type(t), err
}

// OptRoutingId is the option of a message with the routing id of a peer of a
// SERVER.
type OptRoutingId uint32

// OptGroup is the option of a message with the group of a RADIO or DISH.
type OptGroup string

// Send sends a part of a message: with SNDMORE one that is not the last. It
// returns the number of octets, or -1 with an error. DONTWAIT returns EAGAIN
// instead of waiting.
//
// A message of a SERVER needs an OptRoutingId, and one of a RADIO an OptGroup;
// other types ignore them. EHOSTUNREACH means that the SERVER has no such peer.
func (soc *Socket) Send(data string, flags Flag, options ...interface{}) (int, error) {
	return soc.SendBytes([]byte(data), flags, options...)
}

// SendBytes is Send for octets. They may be changed afterwards.
func (soc *Socket) SendBytes(data []byte, flags Flag, options ...interface{}) (int, error) {
	if len(options) == 0 {
		return soc.socket.SendBytes(data, flags)
	}
	typ, err := soc.GetType()
	if err != nil {
		return 0, err
	}
	var head []byte
	for _, option := range options {
		switch o := option.(type) {
		case OptRoutingId:
			if o == 0 {
				return -1, einval
			}
			if typ == SERVER {
				head = binary.BigEndian.AppendUint32(nil, uint32(o))
			}
		case OptGroup:
			if len(o) > maxGroup {
				return -1, einval
			}
			if typ == RADIO {
				head = []byte(o)
			}
		default:
			//lint:ignore ST1005 the text is upstream's
			return 0, fmt.Errorf("Invalid message option: %#v", option)
		}
	}
	return hooks.Send(soc.socket, data, int(flags), head)
}

// maxGroup is the longest name of a group in octets (RFC 48).
const maxGroup = 255

// RecvWithOpts is Recv that also returns options of the message: for each value
// of options one of its type. OptRoutingId is 0 unless the socket is a SERVER,
// OptGroup empty unless it is a DISH.
func (soc *Socket) RecvWithOpts(flags Flag, options ...interface{}) (string, []interface{}, error) {
	b, opts, err := soc.RecvBytesWithOpts(flags, options...)
	return string(b), opts, err
}

// RecvBytesWithOpts is RecvWithOpts for octets. A value of another type is
// ErrorNotImplemented42, and the message is lost.
func (soc *Socket) RecvBytesWithOpts(flags Flag, options ...interface{}) ([]byte, []interface{}, error) {
	opts := make([]interface{}, len(options))
	typ, err := soc.GetType()
	if err != nil {
		return []byte{}, opts, err
	}
	b, head, err := hooks.Recv(soc.socket, int(flags))
	if err != nil {
		return b, opts, err
	}
	for i, option := range options {
		switch option.(type) {
		case OptRoutingId:
			var id OptRoutingId
			if typ == SERVER {
				id = OptRoutingId(binary.BigEndian.Uint32(head))
			}
			opts[i] = id
		case OptGroup:
			var group OptGroup
			if typ == DISH {
				group = OptGroup(head)
			}
			opts[i] = group
		default:
			return []byte{}, opts, ErrorNotImplemented42
		}
	}
	return b, opts, nil
}

// Join makes a DISH receive the messages of a group of at most 255 octets. It
// returns EINVAL if the group is joined already, and for other types.
func (soc *Socket) Join(group string) error {
	return soc.dish(func(d *zmq.Dish) error { return d.Join(group) })
}

// Leave undoes Join. It returns EINVAL if the group is not joined, and for
// other types.
func (soc *Socket) Leave(group string) error {
	return soc.dish(func(d *zmq.Dish) error { return d.Leave(group) })
}

func (soc *Socket) dish(f func(*zmq.Dish) error) error {
	return hooks.Do(soc.socket, func(s zmq.Socket) error {
		d, ok := s.(*zmq.Dish)
		if !ok {
			return einval
		}
		return f(d)
	})
}

// HasDraft reports whether there are the draft types of sockets.
func HasDraft() bool { return true }
