package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Scatter deals messages of one frame out to its GATHER peers in turn
// (RFC 49). With no peer that has room, Send waits.
type Scatter struct {
	common
	sending
}

// NewScatter makes a SCATTER socket.
func NewScatter(opts ...Option) (*Scatter, error) {
	c, err := newCore(zmtp.SCATTER, false, opts)
	if err != nil {
		return nil, err
	}
	return &Scatter{common{c}, sending{c}}, c.start(&scatter{push{c}})
}

type scatter struct{ push }

func (x *scatter) sendMsg(m flow.Message) (*pipe, error) { return x.s.dealOne(m) }
