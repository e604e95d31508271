package zmq

import "lintel.dev/internal/zmq/zmtp"

// Scatter sends each message, of one frame, to the next of its GATHER peers
// that has room (RFC 49). Send blocks while none has.
type Scatter struct {
	common
	sending
}

// NewScatter makes a SCATTER socket.
func NewScatter(opts ...Option) (*Scatter, error) {
	c, err := newCore(zmtp.SCATTER, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Scatter{common{c}, sending{&c.send}}, c.start(&c.send.lb)
}
