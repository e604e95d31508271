package zmq

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"lintel.dev/internal/zmq/flow"
)

var errDuplicateID = errors.New("zmq: another peer has this routing id")

// routingTable finds peers by their routing ids. It is the part that the
// patterns of ROUTER, STREAM, SERVER and PEER share: messages that arrive get
// the id of their peer as the first frame. The send lock protects it.
type routingTable struct {
	s       *core
	routes  map[string]*pipe
	auto    uint32 // number in the id that was made last
	numbers bool   // ids are numbers of 4 octets and never 0 (SERVER and PEER)
}

func newRoutingTable(s *core) routingTable {
	return routingTable{s: s, routes: make(map[string]*pipe), auto: rand.Uint32()}
}

// lookup returns the peer with a routing id, or nil.
func (t *routingTable) lookup(id []byte) *pipe { return t.routes[string(id)] }

// newID makes an id that no peer has: a zero octet and 4 octets that count, or
// the latter alone.
func (t *routingTable) newID() []byte {
	for {
		t.auto++
		id := binary.BigEndian.AppendUint32([]byte{0}, t.auto)
		if t.numbers {
			id = id[1:]
		}
		if t.lookup(id) == nil && (t.auto != 0 || !t.numbers) {
			return id
		}
	}
}

// admits gives p an id, unless ConnectRoutingID did.
func (t *routingTable) admits(p *pipe) error {
	if t.numbers || !p.named {
		p.id = t.newID()
	}
	if t.lookup(p.id) != nil {
		return errDuplicateID
	}
	return nil
}

// identified ignores the id that a peer chose: those of STREAM, SERVER and PEER
// are chosen by this side.
func (t *routingTable) identified(*pipe, []byte) error { return nil }

func (t *routingTable) attach(p *pipe) {
	if len(p.id) > 0 {
		t.routes[string(p.id)] = p
	}
	t.s.recv.fq.attach(p)
}

func (t *routingTable) detach(p *pipe) { t.unroute(p) }

// unroute makes the id of p unknown.
func (t *routingTable) unroute(p *pipe) {
	if t.lookup(p.id) == p {
		delete(t.routes, string(p.id))
	}
	t.s.send.wakeAll() // a sender may have waited for p to have room
}

// recvMsg returns the id of the next message's peer and the frames.
func (t *routingTable) recvMsg() (one []byte, parts Msg, err error) {
	q := &t.s.recv.fq
	p, flags, frame, ok := q.first()
	if !ok {
		return nil, nil, errAgain
	}
	parts = make(Msg, 0, 4)
	parts = append(parts, p.id, frame)
	return nil, q.appendRest(p, flags, parts), nil
}

func (t *routingTable) canRecv() bool { return t.s.recv.fq.canRecv() }

// canSend reports whether any peer has room.
func (t *routingTable) canSend() bool {
	for _, p := range t.routes {
		if p.out.Ready() {
			return true
		}
	}
	return false
}

// forward sends m to p without its first frame, or returns errAgain.
func (t *routingTable) forward(p *pipe, m flow.Message) (wake *pipe, err error) {
	m.Parts = m.Parts[1:]
	wake, ok := p.push(&m)
	if !ok {
		return nil, errAgain
	}
	return wake, nil
}
