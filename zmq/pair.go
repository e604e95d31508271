package zmq

import (
	"errors"

	"lintel.dev/internal/zmq/zmtp"
)

// Pair exchanges messages with exactly one other PAIR socket. A second peer
// is refused, with an event, while the first is connected. Send waits while
// there is no peer or it has no room.
type Pair struct {
	common
	sending
	receiving
}

// NewPair returns a new PAIR socket.
func NewPair(opts ...Option) (*Pair, error) {
	c, err := newCore(zmtp.PAIR, opts)
	if err != nil {
		return nil, err
	}
	return &Pair{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(&pair{duplex: c.duplex()})
}

var errTaken = errors.New("zmq: the PAIR or CHANNEL has a peer already, expected none")

// pair is the pattern of PAIR and CHANNEL.
type pair struct {
	duplex
	peer *pipe
}

func (x *pair) admits(*pipe) error {
	if x.peer != nil {
		return errTaken
	}
	return nil
}

func (x *pair) attach(p *pipe) {
	x.peer = p
	x.duplex.attach(p)
}

func (x *pair) detach(p *pipe) {
	if x.peer == p {
		x.peer = nil
	}
	x.duplex.detach(p)
}
