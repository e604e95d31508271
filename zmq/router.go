package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Router addresses each of its REQ, DEALER and ROUTER peers by a routing id.
// The first frame of a message that it receives is the id of the sender, the
// first frame of a message that it sends is the id of the receiver. A peer
// that did not choose an id gets one of 5 octets, the first of which is 0.
//
// A message to an unknown id is dropped and counted as DroppedNoPeer. With
// the option router_mandatory Send returns ErrHostUnreachable instead, and
// waits for a peer without room. HasPeer reports whether an id is known.
//
// With the option router_raw the peers are those of a Stream, and so are the
// messages.
type Router struct {
	common
	sending
	receiving
	routing
}

// NewRouter returns a new ROUTER socket.
func NewRouter(opts ...Option) (*Router, error) {
	c, err := newCore(zmtp.ROUTER, opts)
	if err != nil {
		return nil, err
	}
	x := &router{routingTable: newRoutingTable(c)}
	return &Router{common{c}, sending{&c.send}, receiving{&c.recv}, routing{&x.routingTable}}, c.start(x)
}

// router is the pattern of ROUTER. The send lock protects it.
type router struct {
	routingTable
	mandatory, handover bool
}

func (x *router) optionsChanged(o *options) {
	x.mandatory, x.handover = o.RouterMandatory, o.RouterHandover
}

// admits gives p its routing id. It refuses an id that is taken, unless
// RouterHandover gives it to the new peer.
func (x *router) admits(p *pipe) error {
	if len(p.id) == 0 && !p.ep.bound {
		return nil // known once the peer is there
	}
	return x.name(p, p.id)
}

// admitsID refuses an id that is taken, before the handshake is over.
func (x *router) admitsID(id []byte) error {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	if !x.handover && len(id) > 0 && x.lookup(id) != nil {
		return errDuplicateID
	}
	return nil
}

func (x *router) name(p *pipe, id []byte) error {
	if len(id) == 0 {
		id = x.newID()
	}
	if old := x.lookup(id); old != nil && old != p {
		if !x.handover {
			return errDuplicateID
		}
		delete(x.routes, string(id))
		old.retire()
	}
	p.id = id
	return nil
}

// identified gives p the id that the peer chose. A peer without one keeps the id
// that this side made for the endpoint, but not that of an earlier peer.
func (x *router) identified(p *pipe, id []byte) error {
	if len(p.id) > 0 && (len(id) == 0 && p.id[0] == 0 || string(p.id) == string(id)) {
		return nil
	}
	before := p.id
	if err := x.name(p, id); err != nil {
		return err
	}
	if x.lookup(before) == p {
		delete(x.routes, string(before))
	}
	x.routes[string(p.id)] = p
	return nil
}

func (x *router) sendMsg(m flow.Message) (wake *pipe, err error) {
	if len(m.Parts) < 2 {
		return nil, nil // nothing but an address, or not even that
	}
	p := x.lookup(m.Parts[0])
	if p == nil {
		if x.mandatory {
			return nil, ErrHostUnreachable
		}
		x.s.counter.noPeer.Add(1)
		return nil, nil
	}
	wake, err = x.forward(p, m)
	switch {
	case err == nil && p.ep.o.RouterRaw:
		hangUp(x, p, m.Parts[1:])
	case err != nil && !x.mandatory:
		p.stats.dropped.Add(1)
		err = nil
	}
	return wake, err
}

func (x *router) canSend() bool { return !x.mandatory || x.routingTable.canSend() }
