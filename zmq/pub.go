package zmq

import "lintel.dev/internal/zmq/zmtp"

// Pub publishes: each message goes to every SUB and XSUB peer subscribed to
// a prefix of its first frame. A peer whose queue is full misses it; Send
// never waits.
type Pub struct {
	common
	sending
	x *xpub
}

// NewPub makes a PUB socket.
func NewPub(opts ...Option) (*Pub, error) {
	x, err := newXPub(zmtp.PUB, opts)
	if err != nil {
		return nil, err
	}
	return &Pub{common{x.s}, sending{x.s}, x}, nil
}

// TopicCount returns the number of distinct topics that peers subscribe to.
func (s *Pub) TopicCount() int { return s.x.count() }
