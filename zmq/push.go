package zmq

import "lintel.dev/internal/zmq/zmtp"

// Push sends each message to the next of its PULL peers that has room. Send
// blocks while none has.
type Push struct {
	common
	sending
}

// NewPush makes a PUSH socket.
func NewPush(opts ...Option) (*Push, error) {
	c, err := newCore(zmtp.PUSH, opts)
	if err != nil {
		return nil, err
	}
	return &Push{common{c}, sending{&c.send}}, c.start(&c.send.lb)
}
