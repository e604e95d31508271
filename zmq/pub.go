package zmq

import "lintel.dev/internal/zmq/zmtp"

// Pub publishes messages. Each goes to every SUB and XSUB peer that
// subscribed to a prefix of its first frame. A peer whose queue is full
// misses the message, which Stats counts as DroppedFull. Send never waits;
// with the option xpub_nodrop it waits for such peers instead.
type Pub struct {
	common
	sending
	x *publisher
}

// NewPub returns a new PUB socket.
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

// Topics returns the topics that peers subscribe to, sorted. It copies them with
// the socket locked: use it for diagnosis, not for each message.
func (s *Pub) Topics() []string { return s.x.names() }
