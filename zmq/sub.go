package zmq

import "lintel.dev/internal/zmq/zmtp"

// Sub receives the publications that it subscribed to, from its PUB and XPUB
// peers by fair queueing. A new Sub has no subscription; see WithSubscribe.
type Sub struct {
	common
	receiving
	x *xsub
}

// NewSub makes a SUB socket.
func NewSub(opts ...Option) (*Sub, error) {
	x, err := newXSub(zmtp.SUB, opts)
	if err != nil {
		return nil, err
	}
	return &Sub{common{x.s}, receiving{x.s}, x}, nil
}

// Subscribe subscribes at all publishers, present and future, to messages whose
// first frame starts with prefix. The empty prefix subscribes to all messages.
// Subscriptions are counted: each needs an Unsubscribe. They are sent again
// when a connection is made again.
func (s *Sub) Subscribe(prefix string) error { return s.x.subscribe([]byte(prefix)) }

// Unsubscribe undoes one Subscribe of the same prefix. Without one it does
// nothing.
func (s *Sub) Unsubscribe(prefix string) error { return s.x.unsubscribe([]byte(prefix)) }

// Topics returns the prefixes subscribed to, sorted.
func (s *Sub) Topics() []string { return s.x.topics() }
