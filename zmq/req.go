package zmq

import (
	"bytes"
	"context"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Req asks: a request goes to the REP and ROUTER peers in turn, and the reply
// comes from the one that was asked. Send and Recv alternate, out of turn
// they return ErrState; the options ReqRelaxed and ReqCorrelate loosen that.
// Request does both at once and may be called by many goroutines.
type Req struct {
	common
	sending
	receiving
	x *req
}

// NewReq makes a REQ socket.
func NewReq(opts ...Option) (*Req, error) {
	c, err := newCore(zmtp.REQ, true, opts)
	if err != nil {
		return nil, err
	}
	x := &req{id: rand.Uint32(), calls: newCalls(c)}
	return &Req{common{c}, sending{c}, receiving{c}, x}, c.start(x)
}

// Request sends a request and waits for its reply, which is recognised by an
// id that travels with it: requests of several goroutines may be under way at
// once, and when ctx ends one, only that one ends and a late reply is
// dropped. When the peer that got the request goes away before it replied,
// Request returns ErrPeerGone at once: whoever may ask twice calls it again,
// which asks the next peer, or waits for one. A request that no peer got yet
// waits for one all the same. Requests and Send must not be mixed while either
// waits for a reply.
func (s *Req) Request(ctx context.Context, m Msg) (Msg, error) {
	if len(m) == 0 {
		return nil, errNoFrames
	}
	return s.x.request(ctx, m)
}

// req is the pattern of REQ; its two locks are one.
type req struct {
	calls
	busy               bool  // a request waits for its reply
	from               *pipe // who was asked; nil: gone
	id                 uint32
	prefix             []byte
	relaxed, correlate bool
}

func (x *req) optionsChanged(o *options) {
	x.relaxed, x.correlate = o.ReqRelaxed, o.ReqCorrelate
}

func (x *req) attach(p *pipe) {
	x.s.lb.Add(&p.outSeat)
	x.s.fq.Add(&p.inSeat)
}

func (x *req) connected(*pipe) {}

func (x *req) lost(p *pipe) {
	x.s.recv.Lock()
	x.failed(p)
	x.s.recv.Unlock()
}

func (x *req) detach(p *pipe) {
	x.s.lb.Remove(&p.outSeat)
	if x.from == p {
		x.from = nil
	}
}

// wrap encodes what goes before a request.
func (x *req) wrap(correlate bool) {
	if !correlate {
		x.prefix = append(x.prefix[:0], flow.More, 0)
		return
	}
	x.id++
	x.prefix = envelope(x.prefix[:0], x.id)
}

// deal sends m to the next peer with room.
func (x *req) deal(m flow.Message) (to *pipe, kick *pipe, err error) {
	for {
		seat, ok := x.s.lb.Current()
		if !ok {
			return nil, nil, errAgain
		}
		m.Prefix = x.prefix
		switch seat.V.out.Append(&m) {
		case flow.Full:
			x.s.lb.Deactivate(seat)
		case flow.Queued:
			x.s.lb.Next()
			return seat.V, nil, nil
		case flow.Wake:
			x.s.lb.Next()
			return seat.V, seat.V, nil
		}
	}
}

func (x *req) sendMsg(m flow.Message) (*pipe, error) {
	if x.busy && !x.relaxed {
		return nil, ErrState
	}
	if !x.s.robinReady() {
		return nil, errAgain
	}
	// What arrived before cannot answer this request.
	for {
		p, flags, _, ok := x.s.fairFrame()
		if !ok {
			break
		}
		x.s.skip(p, flags)
	}
	x.wrap(x.correlate)
	to, kick, err := x.deal(m)
	if err != nil {
		return nil, err
	}
	x.busy, x.from = true, to
	return kick, nil
}

func (x *req) recvMsg() (one []byte, parts Msg, err error) {
	if !x.busy {
		return nil, nil, ErrState
	}
	for {
		p, flags, frame, ok := x.s.fairFrame()
		if !ok {
			return nil, nil, errAgain
		}
		if x.from != nil && p != x.from {
			x.s.skip(p, flags)
			continue
		}
		if x.correlate {
			if len(frame) != 4 || flags&flow.More == 0 || !bytes.Equal(frame, x.prefix[2:6]) {
				x.s.skip(p, flags)
				continue
			}
			flags, frame = p.cur.Next()
		}
		if len(frame) != 0 || flags&flow.More == 0 {
			x.s.skip(p, flags)
			continue
		}
		flags, frame = p.cur.Next()
		one, parts = x.s.rest(p, flags, frame)
		x.busy, x.from = false, nil
		x.s.wakeSenders()
		return one, parts, nil
	}
}

func (x *req) canSendNow() bool { return (!x.busy || x.relaxed) && x.s.robinReady() }
func (x *req) canRecvNow() bool { return (x.busy || len(x.by) > 0) && x.s.fairReady() }

func (x *req) request(ctx context.Context, m Msg) (Msg, error) {
	s := x.s
	s.send.Lock()
	defer s.send.Unlock()
	var to, kick *pipe
	for {
		if s.failed != nil {
			return nil, s.failed
		}
		if x.busy {
			return nil, ErrState
		}
		x.wrap(true)
		var err error
		if to, kick, err = x.deal(flow.Message{Parts: m}); err == nil {
			break
		}
		if err := s.canSend.Wait(ctx, s.send, s.sndTimeo); err != nil {
			return nil, waitError(ctx, err)
		}
	}
	id := x.id
	c := x.begin(id)
	defer x.end(id, c)
	sent, _ := to.out.Counters()
	c.to, c.nr = to, sent.Msgs
	if kick != nil {
		s.send.Unlock()
		kick.kick()
		s.send.Lock()
	}
	return x.await(ctx, c)
}

// replies checks what came over a connection for a REQ: an id perhaps, an empty
// frame and a body (RFC 28). What comes before a message that is none is
// returned; libzmq ends the connection behind it, and so do we.
func replies(ready []flow.Batch) ([]flow.Batch, error) {
	for i, b := range ready {
		c := flow.NewCursor(b)
		for n := 0; !c.Done(); n++ {
			at := c.Pos()
			flags, frame := c.Next()
			if flags&flow.More != 0 && len(frame) == 4 {
				flags, frame = c.Next()
			}
			if flags&flow.More != 0 && len(frame) == 0 {
				c.SkipMessage(flags)
				continue
			}
			good := flow.Batch{Enc: b.Enc[:at], Msgs: n}
			for _, r := range b.Refs {
				if r.At < at {
					good.Refs = append(good.Refs, r)
					good.Held += len(r.B)
				}
			}
			if ready = ready[:i]; n > 0 {
				ready = append(ready, good)
			}
			return ready, &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: "reply without the empty frame that goes before its body"}
		}
	}
	return ready, nil
}
