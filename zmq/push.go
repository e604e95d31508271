package zmq

import "lintel.dev/internal/zmq/zmtp"

// Push sends each message to one of its PULL peers: to the next in turn that
// has room. Send waits while none has.
type Push struct {
	common
	sending
}

// NewPush returns a new PUSH socket.
func NewPush(opts ...Option) (*Push, error) {
	c, err := newCore(zmtp.PUSH, opts)
	if err != nil {
		return nil, err
	}
	return &Push{common{c}, sending{&c.send}}, c.start(&c.send.lb)
}
