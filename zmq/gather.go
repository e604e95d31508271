package zmq

import "lintel.dev/internal/zmq/zmtp"

// Gather receives messages of one frame from its SCATTER peers by fair
// queueing (RFC 49).
type Gather struct {
	common
	receiving
}

// NewGather returns a new GATHER socket.
func NewGather(opts ...Option) (*Gather, error) {
	c, err := newCore(zmtp.GATHER, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Gather{common{c}, receiving{&c.recv}}, c.start(&c.recv.fq)
}
