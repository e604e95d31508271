package zmq

import (
	"context"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Rep answers requests of REQ and DEALER peers, taken in turn: Recv and Send
// alternate, out of turn they return ErrState.
type Rep struct {
	common
	sending
	receiving
}

// NewRep makes a REP socket.
func NewRep(opts ...Option) (*Rep, error) {
	c, err := newCore(zmtp.REP, true, opts)
	if err != nil {
		return nil, err
	}
	return &Rep{common{c}, sending{c}, receiving{c}}, c.start(&rep{s: c})
}

// Serve answers each request with what handler returns, until ctx is done or
// the socket is closed, whose error it returns. When handler fails Serve
// returns its error; that request gets no answer and the socket is of no
// further use until the request is answered with Send.
func (s *Rep) Serve(ctx context.Context, handler func(ctx context.Context, request Msg) (reply Msg, err error)) error {
	for {
		m, err := s.Recv(ctx)
		if err != nil {
			return err
		}
		reply, err := handler(ctx, m)
		if err != nil {
			return err
		}
		if err := s.Send(ctx, reply); err != nil {
			return err
		}
	}
}

// rep is the pattern of REP; its two locks are one.
type rep struct {
	s      *core
	busy   bool   // a request waits for its reply
	from   *pipe  // who asked; nil: gone
	prefix []byte // the envelope, encoded
}

func (x *rep) attach(p *pipe) {
	x.s.fq.Add(&p.inSeat)
}

func (x *rep) detach(p *pipe) {
	if x.from == p {
		x.from = nil
	}
}

func (x *rep) sendMsg(m flow.Message) (*pipe, error) {
	if !x.busy {
		return nil, ErrState
	}
	x.busy = false
	p := x.from
	x.from = nil
	if x.canRecvNow() {
		x.s.wakeReceivers()
	}
	if p == nil {
		x.s.counter.noPeer.Add(1)
		return nil, nil
	}
	m.Prefix = x.prefix
	switch p.out.Append(&m) {
	case flow.Wake:
		return p, nil
	case flow.Full:
		p.stats.dropped.Add(1)
	}
	return nil, nil
}

func (x *rep) recvMsg() (one []byte, parts Msg, err error) {
	if x.busy {
		return nil, nil, ErrState
	}
	for {
		p, flags, frame, ok := x.s.fairFrame()
		if !ok {
			return nil, nil, errAgain
		}
		x.prefix = x.prefix[:0]
		for flags&flow.More != 0 && len(frame) > 0 {
			x.prefix = flow.AppendFrame(x.prefix, flow.More, frame)
			flags, frame = p.cur.Next()
		}
		if flags&flow.More == 0 { // no empty frame that something follows
			x.s.finish(p)
			x.s.counter.malformed.Add(1)
			continue
		}
		x.prefix = flow.AppendFrame(x.prefix, flow.More, nil)
		flags, frame = p.cur.Next()
		one, parts = x.s.rest(p, flags, frame)
		x.busy, x.from = true, p
		if p.gone {
			x.from = nil
		}
		x.s.wakeSenders()
		return one, parts, nil
	}
}

func (x *rep) canSendNow() bool { return x.busy }
func (x *rep) canRecvNow() bool { return !x.busy && x.s.fairReady() }
