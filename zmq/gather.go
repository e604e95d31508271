package zmq

import "lintel.dev/internal/zmq/zmtp"

// Gather receives messages of one frame from its SCATTER peers in turn
// (RFC 49).
type Gather struct {
	common
	receiving
}

// NewGather makes a GATHER socket.
func NewGather(opts ...Option) (*Gather, error) {
	c, err := newCore(zmtp.GATHER, false, opts)
	if err != nil {
		return nil, err
	}
	return &Gather{common{c}, receiving{c}}, c.start(&gather{pull{c}})
}

type gather struct{ pull }

func (x *gather) recvMsg() (one []byte, m Msg, err error) { return x.s.recvOne() }
