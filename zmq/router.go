package zmq

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Router addresses each of its REQ, DEALER and ROUTER peers: a message it
// receives starts with a frame that holds the peer's routing id, and the
// first frame of a message it sends says whom it is for. A peer that did not
// choose an id gets one of 5 octets, the first of which is 0.
//
// A message for nobody is dropped, unless the option RouterMandatory is set:
// then Send returns ErrHostUnreachable, and waits for a peer that has no
// room.
//
// With the option RouterRaw its peers are those of a Stream, and so are its
// messages.
type Router struct {
	common
	sending
	receiving
	routing
}

// NewRouter makes a ROUTER socket.
func NewRouter(opts ...Option) (*Router, error) {
	c, err := newCore(zmtp.ROUTER, false, opts)
	if err != nil {
		return nil, err
	}
	x := &router{s: c, routes: make(map[string]*pipe), auto: rand.Uint32()}
	return &Router{common{c}, sending{c}, receiving{c}, routing{c}}, c.start(x)
}

var errDuplicateID = errors.New("zmq: another peer has this routing id")

// router is the pattern of ROUTER.
type router struct {
	s *core
	// The fields below are protected by the send lock.
	routes              map[string]*pipe
	auto                uint32
	mandatory, handover bool
}

func (x *router) optionsChanged(o *options) {
	x.mandatory, x.handover = o.RouterMandatory, o.RouterHandover
}

// admits gives p its routing id; it refuses one that is taken, unless the
// newcomer may take it over.
func (x *router) admits(p *pipe) error {
	if len(p.id) == 0 && !p.ep.bound {
		return nil // known once the peer is there
	}
	return x.name(p, p.id)
}

func (x *router) name(p *pipe, id []byte) error {
	for len(id) == 0 {
		x.auto++
		id = binary.BigEndian.AppendUint32([]byte{0}, x.auto)
		if x.routes[string(id)] != nil {
			id = nil
		}
	}
	old := x.routes[string(id)]
	if old != nil && old != p {
		if !x.handover {
			return errDuplicateID
		}
		delete(x.routes, string(id))
		old.retire()
	}
	p.id = id
	return nil
}

func (x *router) identified(p *pipe, id []byte) error {
	if len(p.id) > 0 && (len(id) == 0 || string(p.id) == string(id)) {
		return nil
	}
	before := p.id
	if err := x.name(p, id); err != nil {
		return err
	}
	if x.routes[string(before)] == p {
		delete(x.routes, string(before))
	}
	x.routes[string(p.id)] = p
	return nil
}

func (x *router) attach(p *pipe) {
	if len(p.id) > 0 {
		x.routes[string(p.id)] = p
	}
	x.s.fq.Add(&p.inSeat)
}

func (x *router) route(id []byte) *pipe { return x.routes[string(id)] }

func (x *router) detach(p *pipe) { x.unroute(p) }

func (x *router) unroute(p *pipe) {
	if x.routes[string(p.id)] == p {
		delete(x.routes, string(p.id))
	}
	x.s.wakeSenders() // one may have waited for p to have room
}

func (x *router) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) < 2 {
		return nil, nil // nothing but an address, or not even that
	}
	p := x.routes[string(m.Parts[0])]
	if p == nil {
		if x.mandatory {
			return nil, ErrHostUnreachable
		}
		x.s.counter.noPeer.Add(1)
		return nil, nil
	}
	m.Parts = m.Parts[1:]
	r := p.out.Append(&m)
	if p.ep.o.RouterRaw && r != flow.Full {
		hangUp(x, p, m.Parts)
	}
	switch r {
	case flow.Wake:
		return p, nil
	case flow.Full:
		if x.mandatory {
			return nil, errAgain
		}
		p.stats.dropped.Add(1)
	}
	return nil, nil
}

func (x *router) recvMsg() (one []byte, parts Msg, err error) {
	p, flags, frame, ok := x.s.fairFrame()
	if !ok {
		return nil, nil, errAgain
	}
	parts = make(Msg, 0, 4)
	parts = append(parts, p.id, frame)
	for flags&flow.More != 0 {
		flags, frame = p.cur.Next()
		parts = append(parts, frame)
	}
	x.s.finish(p)
	return nil, parts, nil
}

func (x *router) canSendNow() bool {
	if !x.mandatory {
		return true
	}
	for _, p := range x.routes {
		if p.out.Ready() {
			return true
		}
	}
	return false
}

func (x *router) canRecvNow() bool { return x.s.fairReady() }
