package zmq

import "lintel.dev/internal/flow"

// Dealer deals messages out to its peers in turn and receives from them in
// turn. Its peers are ROUTER, REP and DEALER sockets.
type Dealer struct {
	common
	sending
	receiving
}

// NewDealer makes a DEALER socket.
func NewDealer(opts ...Option) (*Dealer, error) {
	c, err := newCore(TypeDealer, false, opts)
	if err != nil {
		return nil, err
	}
	return &Dealer{common{c}, sending{c}, receiving{c}}, c.start(&dealer{c})
}

type dealer struct{ s *core }

func (x *dealer) attach(p *pipe) {
	x.s.lb.Add(&p.outSeat)
	x.s.fq.Add(&p.inSeat)
}

func (x *dealer) detach(p *pipe)                          { x.s.lb.Remove(&p.outSeat) }
func (x *dealer) sendMsg(m flow.Message) (*pipe, error)   { return x.s.roundRobin(m) }
func (x *dealer) recvMsg() (one []byte, m Msg, err error) { return x.s.fairMsg() }
func (x *dealer) canSendNow() bool                        { return x.s.robinReady() }
func (x *dealer) canRecvNow() bool                        { return x.s.fairReady() }
