package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Push deals messages out to its PULL peers in turn. With no peer that has
// room, Send waits.
type Push struct {
	common
	sending
}

// NewPush makes a PUSH socket.
func NewPush(opts ...Option) (*Push, error) {
	c, err := newCore(zmtp.PUSH, false, opts)
	if err != nil {
		return nil, err
	}
	c.robin = true
	return &Push{common{c}, sending{c}}, c.start(&push{c})
}

type push struct{ s *core }

func (x *push) attach(p *pipe)                          { x.s.lb.Add(&p.outSeat) }
func (x *push) detach(p *pipe)                          { x.s.lb.Remove(&p.outSeat) }
func (x *push) sendMsg(m flow.Message) (*pipe, error)   { return x.s.roundRobin(m) }
func (x *push) recvMsg() (one []byte, m Msg, err error) { return nil, nil, ErrNotSupported }
func (x *push) canSendNow() bool                        { return x.s.robinReady() }
func (x *push) canRecvNow() bool                        { return false }
