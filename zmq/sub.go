package zmq

// Sub receives the publications it subscribed to, from its PUB and XPUB peers
// in turn. It has no subscription to start with.
type Sub struct {
	common
	receiving
	x *xsub
}

// NewSub makes a SUB socket.
func NewSub(opts ...Option) (*Sub, error) {
	x, err := newXSub(TypeSub, opts)
	if err != nil {
		return nil, err
	}
	return &Sub{common{x.s}, receiving{x.s}, x}, nil
}

// Subscribe asks all publishers, present and future, for messages whose
// first frame starts with prefix; the empty prefix is every message.
// Subscriptions are counted: as many Unsubscribes take one back. They are
// sent again when a connection is made anew.
func (s *Sub) Subscribe(prefix string) error { return s.x.subscribe([]byte(prefix)) }

// Unsubscribe takes one Subscribe back; without one it does nothing.
func (s *Sub) Unsubscribe(prefix string) error { return s.x.unsubscribe([]byte(prefix)) }
