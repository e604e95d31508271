package zmq

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Server exchanges messages of one frame with CLIENT sockets (RFC 41). It knows
// each peer by a routing id of 4 octets, which is the first frame of the
// messages it receives and sends; the body is the second. Send returns
// ErrHostUnreachable for a peer that is gone, and waits for one without room.
//
// libzmq's routing id of a SERVER is the same number, highest octet first.
type Server struct {
	common
	sending
	receiving
	routing
}

// NewServer makes a SERVER socket.
func NewServer(opts ...Option) (*Server, error) {
	c, err := newCore(zmtp.SERVER, false, opts)
	if err != nil {
		return nil, err
	}
	return &Server{common{c}, sending{c}, receiving{c}, routing{c}}, c.start(newServer(c))
}

// Peer exchanges messages of one frame with other PEER sockets (RFC 51), with
// routing ids as a Server. Endpoint.RoutingID is the id of a peer that it
// connects to.
type Peer struct {
	common
	sending
	receiving
	routing
}

// NewPeer makes a PEER socket.
func NewPeer(opts ...Option) (*Peer, error) {
	c, err := newCore(zmtp.PEER, false, opts)
	if err != nil {
		return nil, err
	}
	return &Peer{common{c}, sending{c}, receiving{c}, routing{c}}, c.start(newServer(c))
}

// server is the pattern of SERVER and PEER.
type server struct {
	s *core
	// The fields below are protected by the send lock.
	routes map[uint32]*pipe
	auto   uint32
}

func newServer(c *core) *server {
	return &server{s: c, routes: make(map[uint32]*pipe), auto: rand.Uint32()}
}

// admits gives p the next number that is free.
func (x *server) admits(p *pipe) error {
	for x.auto++; x.auto == 0 || x.routes[x.auto] != nil; x.auto++ {
	}
	p.id = binary.BigEndian.AppendUint32(nil, x.auto)
	return nil
}

// identified has nothing to learn: the numbers are ours.
func (x *server) identified(*pipe, []byte) error { return nil }

func (x *server) attach(p *pipe) {
	x.routes[binary.BigEndian.Uint32(p.id)] = p
	x.s.fq.Add(&p.inSeat)
}

func (x *server) detach(p *pipe) {
	delete(x.routes, binary.BigEndian.Uint32(p.id))
	x.s.wakeSenders() // one may have waited for p to have room
}

func (x *server) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) != 2 || len(m.Parts[0]) != 4 {
		return nil, errNotRouted
	}
	p := x.routes[binary.BigEndian.Uint32(m.Parts[0])]
	if p == nil {
		return nil, ErrHostUnreachable
	}
	m.Parts = m.Parts[1:]
	switch p.out.Append(&m) {
	case flow.Wake:
		return p, nil
	case flow.Full:
		return nil, errAgain
	}
	return nil, nil
}

var errNotRouted = errors.New("zmq: a SERVER or PEER sends a routing id of 4 octets and one frame")

func (x *server) recvMsg() (one []byte, parts Msg, err error) {
	p, frame, ok := x.s.fairOne()
	if !ok {
		return nil, nil, errAgain
	}
	return nil, Msg{p.id, frame}, nil
}

func (x *server) route(id []byte) *pipe {
	if len(id) != 4 {
		return nil
	}
	return x.routes[binary.BigEndian.Uint32(id)]
}

func (x *server) canSendNow() bool {
	for _, p := range x.routes {
		if p.out.Ready() {
			return true
		}
	}
	return false
}

func (x *server) canRecvNow() bool { return x.s.fairReady() }
