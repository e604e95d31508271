package zmq

import (
	"context"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Dealer sends each message to the next of its peers that has room, and
// receives from them by fair queueing. Send waits while no peer has room.
// Its peers are ROUTER, REP and DEALER sockets.
type Dealer struct {
	common
	sending
	receiving
	x *dealer
}

// NewDealer returns a new DEALER socket.
func NewDealer(opts ...Option) (*Dealer, error) {
	c, err := newCore(zmtp.DEALER, opts)
	if err != nil {
		return nil, err
	}
	x := &dealer{duplex: c.duplex(), requests: newRequests(c), s: c, id: rand.Uint32()}
	return &Dealer{common{c}, sending{&c.send}, receiving{&c.recv}, x}, c.start(x)
}

// Request sends a request to the next peer and waits for its reply. The
// peers are REP sockets, or ROUTER sockets that answer as Router.Serve does.
// An id of 4 octets and an empty frame precede the request; a message that
// starts with the same two frames is its reply. Several goroutines may have
// requests in flight. When ctx ends, only its own request ends, and a late
// reply is dropped.
//
// Do not call Recv while a Request waits: messages that answer no Request
// are dropped. A request whose peer disconnects is not sent again; ctx
// bounds the wait.
func (s *Dealer) Request(ctx context.Context, m Msg) (Msg, error) {
	if len(m) == 0 {
		return nil, errNoFrames
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.x.request(ctx, m)
}

// dealer is the pattern of DEALER.
type dealer struct {
	duplex
	requests
	s  *core
	id uint32 // of the last Request; protected by the receive lock
}

func (x *dealer) request(ctx context.Context, m Msg) (Msg, error) {
	h := &x.s.recv
	h.Lock()
	x.id++
	id := x.id
	c := x.begin(id)
	h.Unlock()
	var prefix [8]byte
	err := x.s.send.sendMsg(ctx, flow.Message{Prefix: appendRequestID(prefix[:0], id), Parts: m})
	if err != nil {
		h.Lock()
		x.end(id, c)
		h.unlock()
		return nil, err
	}
	return x.await(ctx, id, c)
}
