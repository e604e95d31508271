package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Pull receives from its PUSH peers in turn.
type Pull struct {
	common
	receiving
}

// NewPull makes a PULL socket.
func NewPull(opts ...Option) (*Pull, error) {
	c, err := newCore(zmtp.PULL, false, opts)
	if err != nil {
		return nil, err
	}
	c.fair = true
	return &Pull{common{c}, receiving{c}}, c.start(&pull{c})
}

type pull struct{ s *core }

func (x *pull) attach(p *pipe)                          { x.s.fq.Add(&p.inSeat) }
func (x *pull) detach(p *pipe)                          {}
func (x *pull) sendMsg(m flow.Message) (*pipe, error)   { return nil, ErrNotSupported }
func (x *pull) recvMsg() (one []byte, m Msg, err error) { return x.s.fairMsg() }
func (x *pull) canSendNow() bool                        { return false }
func (x *pull) canRecvNow() bool                        { return x.s.fairReady() }
