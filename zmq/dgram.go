package zmq

import (
	"fmt"
	"net/netip"
	"slices"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/udp"
	"lintel.dev/internal/zmq/zmtp"
)

// Dgram sends and receives UDP datagrams. Messages have two frames: the
// address of the other side as text, such as 127.0.0.1:5555, and a body of
// at most 8,192 octets; Send returns an error for others. It only binds and
// connects to udp endpoints. A bound one has the endpoint's address, a
// connected one a free port. Datagrams may be lost, reordered and
// duplicated.
type Dgram struct {
	common
	sending
	receiving
}

// NewDgram returns a new DGRAM socket.
func NewDgram(opts ...Option) (*Dgram, error) {
	c, err := newCore(zmtp.DGRAM, opts)
	if err != nil {
		return nil, err
	}
	return &Dgram{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(&dgram{fairQueue: &c.recv.fq, s: c})
}

// dgram is the pattern of DGRAM.
type dgram struct {
	*fairQueue
	s     *core
	pipes []*pipe // protected by the send lock
}

func (x *dgram) attach(p *pipe) {
	x.pipes = append(x.pipes, p)
	x.fairQueue.attach(p)
}

func (x *dgram) detach(p *pipe) { x.pipes = remove(x.pipes, p) }

// sendMsg gives the datagram to the first endpoint, or drops it: sending
// datagrams never blocks.
func (x *dgram) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) != 2 {
		return nil, fmt.Errorf("zmq: message of %d frames, a DGRAM sends an address and a body: %w", max(len(m.Parts), 1), ErrNotSupported)
	}
	if _, err := netip.ParseAddrPort(string(m.Parts[0])); err != nil {
		return nil, fmt.Errorf("zmq: address %.50q, expected that of a host and its port, as in 127.0.0.1:5555", m.Parts[0])
	}
	if n := len(m.Parts[1]); n > udp.MaxDatagram {
		return nil, fmt.Errorf("zmq: body of %d octets, a datagram takes %d: %w", n, udp.MaxDatagram, ErrMessageTooLarge)
	}
	if len(x.pipes) == 0 {
		x.s.counter.noPeer.Add(1)
		return nil, nil
	}
	return x.pipes[0].pushOrDrop(&m), nil
}

func (x *dgram) canSend() bool { return true }

// datagrams returns an error if udp does not carry the type.
func datagrams(t zmtp.SocketType, bind bool) error {
	switch {
	case t == zmtp.DGRAM, t == zmtp.RADIO && !bind, t == zmtp.DISH && bind:
		return nil
	case t == zmtp.RADIO:
		return fmt.Errorf("zmq: a RADIO connects to udp, the DISH binds: %w", ErrNotSupported)
	case t == zmtp.DISH:
		return fmt.Errorf("zmq: a DISH binds udp, the RADIO connects: %w", ErrNotSupported)
	}
	return fmt.Errorf("zmq: udp carries RADIO, DISH and DGRAM, not %v: %w", t, ErrNotSupported)
}

// carries returns an error if a transport does not carry the type.
func carries(t zmtp.SocketType, scheme string, bind bool) error {
	switch scheme {
	case "tipc":
		return fmt.Errorf("zmq: tipc is not implemented, tcp reaches the same hosts: %w", ErrNotSupported)
	case "vsock":
		if !transport.HasVSOCK {
			return fmt.Errorf("zmq: vsock needs Linux: %w", ErrNotSupported)
		}
	case "udp":
		return datagrams(t, bind)
	case "epgm", "pgm":
		if !slices.Contains([]zmtp.SocketType{zmtp.PUB, zmtp.XPUB, zmtp.SUB, zmtp.XSUB}, t) {
			return fmt.Errorf("zmq: %s carries PUB, XPUB, SUB and XSUB, not %v: %w", scheme, t, ErrNotSupported)
		}
	}
	switch {
	case t == zmtp.DGRAM && scheme != "udp":
		return fmt.Errorf("zmq: a DGRAM uses udp only, not %s: %w", scheme, ErrNotSupported)
	case t == zmtp.STREAM && scheme != "tcp" && scheme != "ipc":
		return fmt.Errorf("zmq: a STREAM uses tcp and ipc only, not %s: %w", scheme, ErrNotSupported)
	}
	return nil
}
