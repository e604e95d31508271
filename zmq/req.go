package zmq

import (
	"bytes"
	"context"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Req sends requests to its REP and ROUTER peers in turn. The reply comes
// from the peer that got the request. Send and Recv alternate; out of order
// they return ErrState. The options req_relaxed and req_correlate relax
// that. Request does both at once, and several goroutines may call it.
type Req struct {
	common
	sending
	receiving
	x *req
}

// NewReq returns a new REQ socket.
func NewReq(opts ...Option) (*Req, error) {
	c, err := newCore(zmtp.REQ, opts)
	if err != nil {
		return nil, err
	}
	x := &req{s: c, id: rand.Uint32(), requests: newRequests(c)}
	return &Req{common{c}, sending{&c.send}, receiving{&c.recv}, x}, c.start(x)
}

// Request sends a request and waits for its reply, which is matched by an id
// that the request carries. Several goroutines may have requests in flight.
// When ctx ends, only its own request ends, and a late reply is dropped.
//
// Request returns ErrPeerGone at once when the peer that got the request
// disconnects before it replied. The caller may send the request again,
// which goes to the next peer. A request that no peer has got yet waits for
// one. Do not call Send while a Request waits for its reply, nor the
// reverse: ErrState.
func (s *Req) Request(ctx context.Context, m Msg) (Msg, error) {
	if len(m) == 0 {
		return nil, errNoFrames
	}
	return s.x.request(ctx, m)
}

// req is the pattern of REQ. Its two locks are one.
type req struct {
	requests
	s                  *core
	lb                 loadBalancer
	busy               bool  // a request waits for its reply
	asked              *pipe // the peer that got the request; nil: gone
	id                 uint32
	prefix             []byte
	relaxed, correlate bool
}

func (x *req) optionsChanged(o *options) {
	x.relaxed, x.correlate = o.ReqRelaxed, o.ReqCorrelate
}

func (x *req) attach(p *pipe) {
	x.lb.attach(p)
	x.s.recv.fq.attach(p)
}

func (x *req) detach(p *pipe) {
	x.lb.detach(p)
	if x.asked == p {
		x.asked = nil
	}
}

func (x *req) connected(*pipe) {}

func (x *req) disconnected(p *pipe) {
	x.s.recv.Lock()
	x.peerLost(p)
	x.s.recv.unlock()
}

// wrap encodes the frames that precede a request.
func (x *req) wrap(correlate bool) {
	if !correlate {
		x.prefix = append(x.prefix[:0], flow.More, 0)
		return
	}
	x.id++
	x.prefix = appendRequestID(x.prefix[:0], x.id)
}

func (x *req) sendMsg(m flow.Message) (wake *pipe, err error) {
	if x.busy && !x.relaxed {
		return nil, ErrState
	}
	if !x.lb.canSend() {
		return nil, errAgain
	}
	// Messages that arrived before cannot answer this request.
	q := &x.s.recv.fq
	for {
		p, flags, _, ok := q.first()
		if !ok {
			break
		}
		q.skip(p, flags)
	}
	x.wrap(x.correlate)
	m.Prefix = x.prefix
	to, wake, err := x.lb.send(&m)
	if err == nil {
		x.busy, x.asked = true, to
	}
	return wake, err
}

func (x *req) recvMsg() (one []byte, parts Msg, err error) {
	if !x.busy {
		return nil, nil, ErrState
	}
	q := &x.s.recv.fq
	for {
		p, flags, frame, ok := q.first()
		if !ok {
			return nil, nil, errAgain
		}
		if x.asked != nil && p != x.asked {
			q.skip(p, flags)
			continue
		}
		if x.correlate {
			if len(frame) != 4 || flags&flow.More == 0 || !bytes.Equal(frame, x.prefix[2:6]) {
				q.skip(p, flags)
				continue
			}
			flags, frame = p.cur.Next()
		}
		if len(frame) != 0 || flags&flow.More == 0 {
			q.skip(p, flags)
			continue
		}
		flags, frame = p.cur.Next()
		one, parts = q.rest(p, flags, frame)
		x.busy, x.asked = false, nil
		x.s.send.wakeAll()
		return one, parts, nil
	}
}

func (x *req) canSend() bool { return (!x.busy || x.relaxed) && x.lb.canSend() }
func (x *req) canRecv() bool { return (x.busy || len(x.by) > 0) && x.s.recv.fq.canRecv() }

func (x *req) request(ctx context.Context, m Msg) (Msg, error) {
	h := &x.s.send
	var w wait
	for {
		h.lockFor(&w)
		err := h.err
		if err == nil && x.busy {
			err = ErrState
		}
		if err != nil {
			h.Unlock()
			return nil, err
		}
		x.wrap(true)
		to, wake, err := x.lb.send(&flow.Message{Prefix: x.prefix, Parts: m})
		if err == nil {
			id := x.id
			c := x.begin(id)
			sent, _ := to.out.Counters()
			c.to, c.nr = to, sent.Msgs
			h.Unlock()
			if wake != nil {
				wake.kick()
			}
			return x.await(ctx, id, c)
		}
		if err := h.unlockAndWait(ctx, &w, false); err != nil {
			return nil, err
		}
	}
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
