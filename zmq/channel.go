package zmq

import "lintel.dev/internal/zmq/zmtp"

// Channel talks to one other CHANNEL socket with messages of one frame
// (RFC 52). A second peer is refused while the first is there.
type Channel struct {
	common
	sending
	receiving
}

// NewChannel makes a CHANNEL socket.
func NewChannel(opts ...Option) (*Channel, error) {
	c, err := newCore(zmtp.CHANNEL, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Channel{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(&pair{duplex: c.duplex()})
}
