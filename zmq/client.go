package zmq

import "lintel.dev/internal/zmq/zmtp"

// Client talks to SERVER sockets with messages of one frame (RFC 41). It sends
// each message to the next peer that has room and receives from its peers in
// turn.
type Client struct {
	common
	sending
	receiving
}

// NewClient makes a CLIENT socket.
func NewClient(opts ...Option) (*Client, error) {
	c, err := newCore(zmtp.CLIENT, opts)
	if err != nil {
		return nil, err
	}
	c.oneFrame()
	return &Client{common{c}, sending{&c.send}, receiving{&c.recv}}, c.start(c.duplex())
}
