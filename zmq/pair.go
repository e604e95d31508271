package zmq

import (
	"errors"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Pair talks to one other PAIR socket. A second peer is turned away while
// the first is there.
type Pair struct {
	common
	sending
	receiving
}

// NewPair makes a PAIR socket.
func NewPair(opts ...Option) (*Pair, error) {
	c, err := newCore(zmtp.PAIR, true, opts)
	if err != nil {
		return nil, err
	}
	c.robin, c.fair = true, true
	return &Pair{common{c}, sending{c}, receiving{c}}, c.start(&pair{s: c})
}

var errTaken = errors.New("zmq: a PAIR has one peer, and this one has it already")

type pair struct {
	s    *core
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
	x.s.lb.Add(&p.outSeat)
	x.s.fq.Add(&p.inSeat)
}

func (x *pair) detach(p *pipe) {
	if x.peer == p {
		x.peer = nil
	}
	x.s.lb.Remove(&p.outSeat)
}

func (x *pair) sendMsg(m flow.Message) (*pipe, error)   { return x.s.roundRobin(m) }
func (x *pair) recvMsg() (one []byte, m Msg, err error) { return x.s.fairMsg() }
func (x *pair) canSendNow() bool                        { return x.s.robinReady() }
func (x *pair) canRecvNow() bool                        { return x.s.fairReady() }
