package zmq

import (
	"context"
	"errors"
	"iter"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/zmq/event"
)

// common has the methods of Socket.
type common struct{ c *core }

func (s common) base() *core { return s.c }

// Type returns the name of the socket type, such as "PUSH".
func (s common) Type() string { return s.c.typ.String() }

// Bind listens at an endpoint. See Socket.Bind for its forms and errors.
func (s common) Bind(endpoint string) (*Endpoint, error) { return s.c.bind(endpoint) }

// Connect starts to connect to an endpoint and returns at once.
func (s common) Connect(endpoint string) (*Endpoint, error) { return s.c.connect(endpoint) }

// Stats returns the counters of the socket and its peers.
func (s common) Stats() Stats { return s.c.stats() }

// SetOption sets an option by libzmq's name, such as "sndhwm".
func (s common) SetOption(name, value string) error { return s.c.setOption(name, value) }

// Option returns the value of an option by libzmq's name.
func (s common) Option(name string) (string, error) { return s.c.option(name) }

// Events yields the socket's events from this call on.
func (s common) Events(ctx context.Context) iter.Seq[event.Event] { return s.c.events.subscribe(ctx) }

// Close closes the socket. It waits up to the linger time for queued messages.
func (s common) Close() error { return s.c.close() }

// CloseContext is Close with a wait that ends with ctx.
func (s common) CloseContext(ctx context.Context) error { return s.c.closeContext(ctx) }

// sending has the methods of Sender.
type sending struct{ out *sendHalf }

// Send sends a copy of a message. See Sender.
func (s sending) Send(ctx context.Context, m Msg) error {
	if len(m) == 0 {
		return errNoFrames
	}
	return s.out.sendMsg(ctx, flow.Message{Parts: m})
}

// SendOwned is Send without a copy of large frames.
func (s sending) SendOwned(ctx context.Context, m Msg) error {
	if len(m) == 0 {
		return errNoFrames
	}
	return s.out.sendMsg(ctx, flow.Message{Parts: m, Owned: true})
}

// SendBytes is Send for a message of one frame.
func (s sending) SendBytes(ctx context.Context, b []byte) error {
	return s.out.sendBytes(ctx, b)
}

// TrySend is Send that returns ErrWouldBlock instead of waiting.
func (s sending) TrySend(m Msg) error { return s.Send(try, m) }

var errNoFrames = errors.New("zmq: message without frames, expected at least one")

// receiving has the methods of Receiver.
type receiving struct{ in *recvHalf }

// Recv receives a message, which belongs to the caller. See Receiver.
func (s receiving) Recv(ctx context.Context) (Msg, error) {
	return s.in.recvMsg(ctx, nil)
}

// RecvBytes is Recv for messages of one frame.
func (s receiving) RecvBytes(ctx context.Context) ([]byte, error) {
	return s.in.recvBytes(ctx)
}

// RecvInto is RecvBytes that appends the frame to buf.
func (s receiving) RecvInto(ctx context.Context, buf []byte) ([]byte, error) {
	return s.in.recvInto(ctx, buf)
}

// RecvFrom is Recv that also returns the peer that sent the message.
func (s receiving) RecvFrom(ctx context.Context) (Msg, PeerInfo, error) {
	var from *PeerInfo
	m, err := s.in.recvMsg(ctx, &from)
	if err != nil || from == nil {
		return m, PeerInfo{}, err
	}
	return m, *from, nil
}

// TryRecv is Recv that returns ErrWouldBlock instead of waiting.
func (s receiving) TryRecv() (Msg, error) { return s.Recv(try) }

// Messages yields messages until Recv fails; the last pair holds the error.
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

// Views yields messages of one frame, each valid until the next iteration.
func (s receiving) Views(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { s.in.frames(ctx, yield) }
}
