package zmq

import (
	"errors"
	"slices"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Stream exchanges bytes with TCP peers that do not speak ZMTP. Messages
// have two frames: the routing id of a connection, and the bytes that
// arrived or are to be written. Endpoint.RoutingID is the id of a connection
// that Connect makes.
//
// A received empty second frame reports that a connection was made or was
// lost, unless the option stream_notify is 0. A sent empty second frame
// closes the connection after the bytes that were sent before: its id is
// unknown at once, nothing more is received with it, and a connection that
// Connect made is not made again. When the peer closes such a connection, it
// is made again with the same id. Send returns ErrHostUnreachable for an
// unknown id.
type Stream struct {
	common
	sending
	receiving
	routing
}

// NewStream returns a new STREAM socket.
func NewStream(opts ...Option) (*Stream, error) {
	c, err := newCore(zmtp.STREAM, opts)
	if err != nil {
		return nil, err
	}
	x := &stream{newRoutingTable(c)}
	return &Stream{common{c}, sending{&c.send}, receiving{&c.recv}, routing{&x.routingTable}}, c.start(x)
}

var errNoBody = errors.New("zmq: message of a STREAM without a second frame, expected routing id and bytes")

// stream is the pattern of STREAM.
type stream struct{ routingTable }

// hangUp ends the connection to p behind body if that is what an empty frame of
// it asks for; both locks of the socket may be held.
func hangUp(x unrouter, p *pipe, body Msg) {
	if !slices.ContainsFunc(body, func(f []byte) bool { return len(f) == 0 }) {
		return
	}
	x.unroute(p)
	if p.engine.Load() == nil {
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

func (x *stream) sendMsg(m flow.Message) (wake *pipe, err error) {
	if len(m.Parts) < 2 {
		return nil, errNoBody
	}
	p := x.lookup(m.Parts[0])
	if p == nil {
		return nil, ErrHostUnreachable
	}
	if wake, err = x.forward(p, m); err == nil {
		hangUp(x, p, m.Parts[1:])
	}
	return wake, err
}
