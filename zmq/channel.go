package zmq

import "lintel.dev/internal/zmq/zmtp"

// Channel is a Pair for messages of one frame, with another CHANNEL socket
// (RFC 52). Send returns ErrNotSupported for messages of several frames.
type Channel struct {
	common
	sending
	receiving
}

// NewChannel returns a new CHANNEL socket.
func NewChannel(opts ...Option) (*Channel, error) {
	c, err := newCore(zmtp.CHANNEL, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Channel{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(&pair{duplex: c.duplex()})
}
