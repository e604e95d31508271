package zmq

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Stream talks to any TCP peer, without ZMTP. A message it receives is the
// connection's routing id and the bytes that arrived; one it sends, likewise,
// the bytes to write. An empty second frame that is received tells that the
// connection was made, or lost (unless the option StreamNotify is off). One
// that is sent closes the connection once what was sent before has left: the
// id is unknown from then on, nothing more is received with it, and a
// connection that Connect made is not made again. One that the peer closes is,
// under the same id.
type Stream struct {
	common
	sending
	receiving
	routing
}

// NewStream makes a STREAM socket.
func NewStream(opts ...Option) (*Stream, error) {
	c, err := newCore(zmtp.STREAM, false, opts)
	if err != nil {
		return nil, err
	}
	x := &stream{s: c, routes: make(map[string]*pipe), auto: rand.Uint32()}
	return &Stream{common{c}, sending{c}, receiving{c}, routing{c}}, c.start(x)
}

var errNoBody = errors.New("zmq: message of a STREAM without a second frame, expected routing id and bytes")

// stream is the pattern of STREAM.
type stream struct {
	s *core
	// The fields below are protected by the send lock.
	routes map[string]*pipe
	auto   uint32
}

func (x *stream) admits(p *pipe) error {
	for len(p.id) == 0 {
		x.auto++
		p.id = binary.BigEndian.AppendUint32([]byte{0}, x.auto)
		if x.routes[string(p.id)] != nil {
			p.id = nil
		}
	}
	if x.routes[string(p.id)] != nil {
		return errDuplicateID
	}
	return nil
}

// identified has nothing to learn: the peers of a STREAM have no ids.
func (x *stream) identified(*pipe, []byte) error { return nil }

func (x *stream) attach(p *pipe) {
	x.routes[string(p.id)] = p
	x.s.fq.Add(&p.inSeat)
}

func (x *stream) route(id []byte) *pipe { return x.routes[string(id)] }

func (x *stream) detach(p *pipe) { x.unroute(p) }

func (x *stream) unroute(p *pipe) {
	if x.routes[string(p.id)] == p {
		delete(x.routes, string(p.id))
	}
	x.s.wakeSenders()
}

// hangUp ends the connection to p behind body if that is what an empty frame of
// it asks for; both locks of the socket may be held.
func hangUp(x unrouter, p *pipe, body Msg) {
	if !slices.ContainsFunc(body, func(f []byte) bool { return len(f) == 0 }) {
		return
	}
	x.unroute(p)
	if p.link.Load() == nil {
		p.s.wg.Go(func() { abandon(p) })
	}
}

// abandon gives up a connection that is not there now.
func abandon(p *pipe) {
	p.end(false)
	if !p.ep.bound {
		_ = p.s.endEndpoint(p.ep) // it may be over already
	}
}

func (x *stream) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) < 2 {
		return nil, errNoBody
	}
	p := x.routes[string(m.Parts[0])]
	if p == nil {
		return nil, ErrHostUnreachable
	}
	m.Parts = m.Parts[1:]
	r := p.out.Append(&m)
	if r == flow.Full {
		return nil, errAgain
	}
	hangUp(x, p, m.Parts)
	if r == flow.Wake {
		return p, nil
	}
	return nil, nil
}

func (x *stream) recvMsg() (one []byte, parts Msg, err error) {
	p, _, frame, ok := x.s.fairFrame()
	if !ok {
		return nil, nil, errAgain
	}
	x.s.finish(p)
	return nil, Msg{p.id, frame}, nil
}

func (x *stream) canSendNow() bool {
	for _, p := range x.routes {
		if p.out.Ready() {
			return true
		}
	}
	return false
}

func (x *stream) canRecvNow() bool { return x.s.fairReady() }
