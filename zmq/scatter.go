package zmq

import "lintel.dev/internal/zmq/zmtp"

// Scatter is a Push for messages of one frame, to GATHER sockets (RFC 49).
// Send returns ErrNotSupported for messages of several frames.
type Scatter struct {
	common
	sending
}

// NewScatter returns a new SCATTER socket.
func NewScatter(opts ...Option) (*Scatter, error) {
	c, err := newCore(zmtp.SCATTER, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Scatter{common{c}, sending{&c.send}}, c.start(&c.send.lb)
}
