package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Channel talks to one other CHANNEL socket with messages of one frame
// (RFC 52). A second peer is turned away while the first is there.
type Channel struct {
	common
	sending
	receiving
}

// NewChannel makes a CHANNEL socket.
func NewChannel(opts ...Option) (*Channel, error) {
	c, err := newCore(zmtp.CHANNEL, true, opts)
	if err != nil {
		return nil, err
	}
	return &Channel{common{c}, sending{c}, receiving{c}}, c.start(&channel{pair{s: c}})
}

type channel struct{ pair }

func (x *channel) sendMsg(m flow.Message) (*pipe, error)   { return x.s.dealOne(m) }
func (x *channel) recvMsg() (one []byte, m Msg, err error) { return x.s.recvOne() }
