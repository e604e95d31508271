package zmq

import (
	"context"
	"fmt"
	"iter"

	"lintel.dev/internal/zmq/flow"
)

// common are the methods that every socket has.
type common struct{ c *core }

func (s common) base() *core { return s.c }

// Type returns the kind of the socket.
func (s common) Type() Type { return s.c.typ }

// Bind accepts connections at an endpoint: tcp://host:port (host an address,
// an interface or *, port a number or *), ipc://path (a path, @name or *),
// inproc://name, ws://host:port/path, wss://host:port/path and, on Linux,
// vsock://cid:port (each a number or *); PUB, XPUB, SUB and XSUB also
// epgm://interface;group:port, RADIO, DISH and DGRAM also udp://host:port. The
// address of the returned Endpoint is resolved. A transport that does not carry
// the socket's type is ErrNotSupported.
func (s common) Bind(endpoint string) (*Endpoint, error) { return s.c.bind(endpoint) }

// Connect starts to connect to an endpoint and returns at once; it fails only
// for an endpoint that can never work. Messages may be sent right away: they
// wait for the peer. A lost connection is made anew.
func (s common) Connect(endpoint string) (*Endpoint, error) { return s.c.connect(endpoint) }

// Stats returns what the socket and each of its peers did so far.
func (s common) Stats() Stats { return s.c.stats() }

// SetOption sets an option by libzmq's lower-case name without the ZMQ_, for
// instance "sndhwm" or "heartbeat_ivl", and a value in libzmq's unit. All but
// a few (linger, sndhwm, rcvhwm, timeouts, subscriptions and the flags of
// ROUTER, REQ and XPUB) concern only later Binds and Connects.
func (s common) SetOption(name, value string) error { return s.c.setOption(name, value) }

// Options returns the options as they are set.
func (s common) Options() Options { return s.c.options() }

// Events returns the socket's events from now on: connections made, lost and
// refused. The sequence ends when ctx is done or the socket is closed. A
// reader that does not keep up loses the oldest events; Event.Lost counts
// them.
func (s common) Events(ctx context.Context) iter.Seq[Event] { return s.c.events.subscribe(ctx) }

// Close closes the socket. It waits until queued messages are handed to the
// operating system, at most the linger time; then it drops them. Blocked
// calls return ErrClosed.
func (s common) Close() error { return s.c.close() }

// CloseContext is Close that waits until ctx is done instead of the linger
// time.
func (s common) CloseContext(ctx context.Context) error { return s.c.closeContext(ctx) }

// String names the socket's type.
func (s common) String() string { return s.c.typ.String() }

type sender interface {
	Send(ctx context.Context, m Msg) error
	SendOwned(ctx context.Context, m Msg) error
	SendBytes(ctx context.Context, b []byte) error
	SendBatch(ctx context.Context, batch []Msg) (int, error)
	TrySend(m Msg) error
}

type receiver interface {
	Recv(ctx context.Context) (Msg, error)
	RecvBytes(ctx context.Context) ([]byte, error)
	RecvInto(ctx context.Context, buf []byte) ([]byte, error)
	Frames(ctx context.Context) iter.Seq2[[]byte, error]
	RecvBatch(ctx context.Context, dst []Msg) (int, error)
	RecvMessage(ctx context.Context) (Message, error)
	TryRecv() (Msg, error)
	Messages(ctx context.Context) iter.Seq2[Msg, error]
}

// sending are the methods of sockets that send.
type sending struct{ out *core }

// Send sends a message, whole. It waits while the socket has no peer with
// room, or drops the message, as is the habit of the socket's type.
func (s sending) Send(ctx context.Context, m Msg) error {
	if len(m) == 0 {
		return errNoFrames
	}
	return s.out.sendMsg(ctx, flow.Message{Parts: m})
}

// SendOwned is Send without copying large frames: nobody may change them
// afterwards.
func (s sending) SendOwned(ctx context.Context, m Msg) error {
	if len(m) == 0 {
		return errNoFrames
	}
	return s.out.sendMsg(ctx, flow.Message{Parts: m, Owned: true})
}

// SendBytes sends a message of one frame.
func (s sending) SendBytes(ctx context.Context, b []byte) error {
	return s.out.sendBytes(ctx, b)
}

// SendBatch sends messages in order and returns how many it sent; the rest
// was not, because of the error.
func (s sending) SendBatch(ctx context.Context, batch []Msg) (int, error) {
	for i, m := range batch {
		if err := s.Send(ctx, m); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// TrySend is Send that returns ErrWouldBlock instead of waiting.
func (s sending) TrySend(m Msg) error { return s.Send(try, m) }

var errNoFrames = fmt.Errorf("zmq: message without frames, expected at least one")

// receiving are the methods of sockets that receive.
type receiving struct{ in *core }

// Recv receives a message, waiting for one.
func (s receiving) Recv(ctx context.Context) (Msg, error) {
	_, m, err := s.in.recvMsg(ctx, true, nil)
	return m, err
}

// RecvBytes receives a message of one frame. For one of several it returns a
// *MultipartError with the message in it.
func (s receiving) RecvBytes(ctx context.Context) ([]byte, error) {
	return s.in.recvBytes(ctx)
}

// RecvMessage is Recv that also tells who sent the message.
func (s receiving) RecvMessage(ctx context.Context) (Message, error) {
	var m Message
	var err error
	_, m.Frames, err = s.in.recvMsg(ctx, true, &m.Peer)
	return m, err
}

// RecvInto receives a message of one frame and appends it to buf. Unlike what
// RecvBytes returns, nothing of it stays with the socket: with a buf of
// enough capacity receiving needs no new memory, for the socket uses its own
// again.
func (s receiving) RecvInto(ctx context.Context, buf []byte) ([]byte, error) {
	return s.in.recvInto(ctx, buf)
}

// Frames receives messages of one frame until ctx is done or the socket is
// closed, which is the last pair's error, as is the *MultipartError of a message
// of several frames. A frame belongs to the socket and is valid only until the
// loop goes on: so receiving needs neither new memory nor a copy.
func (s receiving) Frames(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { s.in.frames(ctx, yield) }
}

// RecvBatch waits for a message and fills dst with it and those that are
// there already. It returns how many it stored.
func (s receiving) RecvBatch(ctx context.Context, dst []Msg) (int, error) {
	for i := range dst {
		m, err := s.Recv(ctx)
		if err != nil {
			if i > 0 {
				return i, nil
			}
			return 0, err
		}
		dst[i] = m
		ctx = try
	}
	return len(dst), nil
}

// TryRecv is Recv that returns ErrWouldBlock instead of waiting.
func (s receiving) TryRecv() (Msg, error) { return s.Recv(try) }

// Messages receives until ctx is done or the socket is closed, which is the
// last pair's error.
func (s receiving) Messages(ctx context.Context) iter.Seq2[Msg, error] {
	return func(yield func(Msg, error) bool) {
		for {
			m, err := s.Recv(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}
