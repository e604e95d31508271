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
	c, err := newCore(zmtp.GATHER, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Gather{common{c}, receiving{&c.recv}}, c.start(&c.recv.fq)
}
