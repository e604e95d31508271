package zmq

import (
	"context"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Dealer deals messages out to its peers in turn and receives from them in
// turn. Its peers are ROUTER, REP and DEALER sockets.
type Dealer struct {
	common
	sending
	receiving
	x *dealer
}

// NewDealer makes a DEALER socket.
func NewDealer(opts ...Option) (*Dealer, error) {
	c, err := newCore(zmtp.DEALER, false, opts)
	if err != nil {
		return nil, err
	}
	c.robin, c.fair = true, true
	x := &dealer{calls: newCalls(c), id: rand.Uint32()}
	return &Dealer{common{c}, sending{c}, receiving{c}, x}, c.start(x)
}

// Request sends a request to the next peer and waits for its reply. The peers
// are ROUTER sockets that answer as Router.Serve does, and REP sockets. Before
// the request go an id of 4 octets and an empty frame, and only a message that
// starts with the same is its reply. Requests of several goroutines may be
// under way at once; when ctx ends one, only that one ends, and a late reply
// is dropped. While a Request waits, Recv must not be called: what arrives
// and answers no Request is dropped. A request whose peer goes away is not
// sent again; ctx bounds the wait.
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
	calls
	id uint32 // of the last Request; protected by the receive lock
}

func (x *dealer) request(ctx context.Context, m Msg) (Msg, error) {
	s := x.s
	s.recv.Lock()
	defer s.recv.Unlock()
	x.id++
	id := x.id
	c := x.begin(id)
	defer x.end(id, c)
	s.recv.Unlock()
	var prefix [8]byte
	err := s.sendMsg(ctx, flow.Message{Prefix: envelope(prefix[:0], id), Parts: m})
	s.recv.Lock()
	if err != nil {
		return nil, err
	}
	return x.await(ctx, c)
}

func (x *dealer) attach(p *pipe) {
	x.s.lb.Add(&p.outSeat)
	x.s.fq.Add(&p.inSeat)
}

func (x *dealer) detach(p *pipe)                          { x.s.lb.Remove(&p.outSeat) }
func (x *dealer) sendMsg(m flow.Message) (*pipe, error)   { return x.s.roundRobin(m) }
func (x *dealer) recvMsg() (one []byte, m Msg, err error) { return x.s.fairMsg() }
func (x *dealer) canSendNow() bool                        { return x.s.robinReady() }
func (x *dealer) canRecvNow() bool                        { return x.s.fairReady() }
