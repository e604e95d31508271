package zmq

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Client talks to SERVER sockets with messages of one frame: it deals what it
// sends out in turn and receives from them in turn (RFC 41).
type Client struct {
	common
	sending
	receiving
}

// NewClient makes a CLIENT socket.
func NewClient(opts ...Option) (*Client, error) {
	c, err := newCore(zmtp.CLIENT, false, opts)
	if err != nil {
		return nil, err
	}
	return &Client{common{c}, sending{c}, receiving{c}}, c.start(&client{dealer{calls: calls{s: c}}})
}

type client struct{ dealer }

func (x *client) sendMsg(m flow.Message) (*pipe, error)   { return x.s.dealOne(m) }
func (x *client) recvMsg() (one []byte, m Msg, err error) { return x.s.recvOne() }
