package zmq

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
)

// Server talks to CLIENT sockets with messages of one frame (RFC 41). It knows
// each peer by a routing id, a number that is never 0; SendTo returns
// ErrHostUnreachable for one that is gone, and waits for one without room.
//
// The methods that all sockets have put the routing id, 4 octets with the
// highest first, before the message, as another frame.
type Server struct {
	common
	sending
	receiving
	routed
}

// NewServer makes a SERVER socket.
func NewServer(opts ...Option) (*Server, error) {
	c, err := newCore(TypeServer, false, opts)
	if err != nil {
		return nil, err
	}
	return &Server{common{c}, sending{c}, receiving{c}, routed{c}}, c.start(newServer(c))
}

// Peer talks to other PEER sockets as a Server does to its clients (RFC 51).
type Peer struct {
	common
	sending
	receiving
	routed
}

// NewPeer makes a PEER socket.
func NewPeer(opts ...Option) (*Peer, error) {
	c, err := newCore(TypePeer, false, opts)
	if err != nil {
		return nil, err
	}
	return &Peer{common{c}, sending{c}, receiving{c}, routed{c}}, c.start(newServer(c))
}

// ConnectPeer is Connect that returns the routing id of the peer to be. It
// does not go with the option Immediate, with which there is none before the
// peer is there.
func (s *Peer) ConnectPeer(endpoint string) (*Endpoint, uint32, error) {
	c := s.common.c
	if c.options().Immediate {
		return nil, 0, errors.New("zmq: a PEER with the option immediate knows no routing id when it connects")
	}
	e, err := s.Connect(endpoint)
	if err != nil {
		return nil, 0, err
	}
	c.send.Lock()
	defer c.send.Unlock()
	for p := range c.pipes {
		if p.ep == e {
			return e, binary.BigEndian.Uint32(p.id), nil
		}
	}
	return nil, 0, ErrHostUnreachable
}

// routed are the methods of sockets that know peers by number.
type routed struct{ core *core }

// SendTo sends b to a peer.
func (s routed) SendTo(ctx context.Context, routingID uint32, b []byte) error {
	var id [4]byte
	binary.BigEndian.PutUint32(id[:], routingID)
	return s.core.sendMsg(ctx, flow.Message{Parts: Msg{id[:], b}})
}

// RecvFrom receives a message and tells which peer sent it.
func (s routed) RecvFrom(ctx context.Context) (routingID uint32, b []byte, err error) {
	_, m, err := s.core.recvMsg(ctx, true, nil)
	if err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(m[0]), m[1], nil
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

func (x *server) canSendNow() bool {
	for _, p := range x.routes {
		if p.out.Ready() {
			return true
		}
	}
	return false
}

func (x *server) canRecvNow() bool { return x.s.fairReady() }
