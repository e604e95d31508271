package zmq

import "lintel.dev/internal/zmq/zmtp"

// Client exchanges messages of one frame with SERVER sockets (RFC 41). It
// sends each message to the next peer that has room, and receives by fair
// queueing. Send returns ErrNotSupported for messages of several frames.
type Client struct {
	common
	sending
	receiving
}

// NewClient returns a new CLIENT socket.
func NewClient(opts ...Option) (*Client, error) {
	c, err := newCore(zmtp.CLIENT, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Client{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(c.duplex())
}
