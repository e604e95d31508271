package zmq

import (
	"errors"

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

// NewServer returns a new SERVER socket.
func NewServer(opts ...Option) (*Server, error) {
	c, err := newCore(zmtp.SERVER, opts)
	if err != nil {
		return nil, err
	}
	x := newServer(c)
	return &Server{common{c}, sending{&c.send}, receiving{&c.recv}, routing{&x.routingTable}}, c.start(x)
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

// NewPeer returns a new PEER socket.
func NewPeer(opts ...Option) (*Peer, error) {
	c, err := newCore(zmtp.PEER, opts)
	if err != nil {
		return nil, err
	}
	x := newServer(c)
	return &Peer{common{c}, sending{&c.send}, receiving{&c.recv}, routing{&x.routingTable}}, c.start(x)
}

var errNotRouted = errors.New("zmq: a SERVER or PEER sends a routing id of 4 octets and one frame")

// server is the pattern of SERVER and PEER.
type server struct{ routingTable }

func newServer(c *core) *server {
	c.oneFrame()
	x := &server{newRoutingTable(c)}
	x.numbers = true
	return x
}

func (x *server) sendMsg(m flow.Message) (wake *pipe, err error) {
	if len(m.Parts) != 2 || len(m.Parts[0]) != 4 {
		return nil, errNotRouted
	}
	p := x.lookup(m.Parts[0])
	if p == nil {
		return nil, ErrHostUnreachable
	}
	return x.forward(p, m)
}
