package zmq

import (
	"context"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Rep answers the requests of REQ and DEALER peers, received by fair
// queueing. Recv and Send alternate; out of order they return ErrState. A
// reply to a peer that has disconnected is dropped and counted as
// DroppedNoPeer.
type Rep struct {
	common
	sending
	receiving
}

// NewRep returns a new REP socket.
func NewRep(opts ...Option) (*Rep, error) {
	c, err := newCore(zmtp.REP, opts)
	if err != nil {
		return nil, err
	}
	return &Rep{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(&rep{s: c})
}

// Serve answers each request with the message that handler returns, one
// after another, until ctx is done or the socket is closed. It returns the
// reason. When handler fails, Serve returns its error; the request is not
// answered, and the socket needs a Send before the next Recv.
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

// rep is the pattern of REP. Its two locks are one.
type rep struct {
	s      *core
	busy   bool   // a request waits for its reply
	asker  *pipe  // nil: gone
	prefix []byte // the envelope of the request, encoded
}

func (x *rep) attach(p *pipe) { x.s.recv.fq.attach(p) }

func (x *rep) detach(p *pipe) {
	if x.asker == p {
		x.asker = nil
	}
}

func (x *rep) connected(*pipe) {}

// disconnected drops the reply to a request of p, whose connection is gone: the
// next peer of the same endpoint did not ask.
func (x *rep) disconnected(p *pipe) {
	x.s.send.Lock()
	if x.asker == p {
		x.asker = nil
	}
	x.s.send.Unlock()
}

func (x *rep) sendMsg(m flow.Message) (wake *pipe, err error) {
	if !x.busy {
		return nil, ErrState
	}
	p := x.asker
	x.busy, x.asker = false, nil
	if x.canRecv() {
		x.s.recv.wakeOne()
	}
	if p == nil {
		x.s.counter.noPeer.Add(1)
		return nil, nil
	}
	m.Prefix = x.prefix
	return p.pushOrDrop(&m), nil
}

func (x *rep) recvMsg() (one []byte, parts Msg, err error) {
	if x.busy {
		return nil, nil, ErrState
	}
	q := &x.s.recv.fq
	for {
		p, flags, frame, ok := q.first()
		if !ok {
			return nil, nil, errAgain
		}
		x.prefix = x.prefix[:0]
		for flags&flow.More != 0 && len(frame) > 0 {
			x.prefix = flow.AppendFrame(x.prefix, flow.More, frame)
			flags, frame = p.cur.Next()
		}
		if flags&flow.More == 0 { // no empty frame that something follows
			q.done(p)
			x.s.counter.malformed.Add(1)
			continue
		}
		x.prefix = flow.AppendFrame(x.prefix, flow.More, nil)
		flags, frame = p.cur.Next()
		one, parts = q.rest(p, flags, frame)
		x.busy, x.asker = true, p
		if p.gone {
			x.asker = nil
		}
		x.s.send.wakeAll()
		return one, parts, nil
	}
}

func (x *rep) canSend() bool { return x.busy }
func (x *rep) canRecv() bool { return !x.busy && x.s.recv.fq.canRecv() }
