package zmq

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
	x, err := newXPub(TypePub, opts)
	if err != nil {
		return nil, err
	}
	return &Pub{common{x.s}, sending{x.s}, x}, nil
}

// Topics is the number of distinct topics peers are subscribed to.
func (s *Pub) Topics() int { return s.x.count() }
