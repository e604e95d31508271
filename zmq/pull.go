package zmq

import "lintel.dev/internal/zmq/zmtp"

// Pull receives from its PUSH peers by fair queueing.
type Pull struct {
	common
	receiving
}

// NewPull returns a new PULL socket.
func NewPull(opts ...Option) (*Pull, error) {
	c, err := newCore(zmtp.PULL, opts)
	if err != nil {
		return nil, err
	}
	return &Pull{common{c}, receiving{&c.recv}}, c.start(&c.recv.fq)
}
