package zmq

import "lintel.dev/internal/zmq/zmtp"

// Pub publishes: each message goes to every SUB and XSUB peer subscribed to
// a prefix of its first frame. A peer whose queue is full misses the message;
// Send never blocks.
type Pub struct {
	common
	sending
	x *publisher
}

// NewPub makes a PUB socket.
func NewPub(opts ...Option) (*Pub, error) {
	c, err := newCore(zmtp.PUB, opts)
	if err != nil {
		return nil, err
	}
	x := newPublisher(c)
	return &Pub{common{c}, sending{&c.send}, x}, c.start(x)
}

// TopicCount returns the number of distinct topics that peers subscribe to.
func (s *Pub) TopicCount() int { return s.x.count() }
