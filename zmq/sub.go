package zmq

import "lintel.dev/internal/zmq/zmtp"

// Sub receives the publications that it subscribed to, from its PUB and XPUB
// peers by fair queueing. A new Sub has no subscription; see WithSubscribe.
type Sub struct {
	common
	receiving
	x *sub
}

// NewSub returns a new SUB socket.
func NewSub(opts ...Option) (*Sub, error) {
	c, err := newCore(zmtp.SUB, opts)
	if err != nil {
		return nil, err
	}
	x := newSub(c)
	x.filter = x
	if err := c.start(x); err != nil {
		return nil, err
	}
	return &Sub{common{c}, receiving{&c.recv}, x}, x.subscribeAll(c.o.subscribe)
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

// sub is the pattern of SUB, and of XSUB with what that adds.
type sub struct {
	*fairQueue
	subscriptions
	// The fields below are protected by both locks of the socket.
	verboseUnsub bool
	invert       bool
}

func newSub(c *core) *sub {
	return &sub{fairQueue: &c.recv.fq, subscriptions: subscriptions{s: c}}
}

func (x *sub) optionsChanged(o *options) {
	x.verboseUnsub, x.invert = o.XSubVerboseUnsubscribe, o.InvertMatching
}

// accepts is the filter of SUB: a publisher may send more than was asked for,
// for instance what it sent before an Unsubscribe arrived.
func (x *sub) accepts(p *pipe) bool { return x.accepted.Any(p.cur.Peek()) != x.invert }

func (x *sub) subscribe(topic []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	n, _ := x.counts.Get(topic)
	x.set(topic, n+1)
	x.announce(true, topic)
	return nil
}

// subscribeAll makes the subscriptions of WithSubscribe.
func (x *sub) subscribeAll(topics []string) error {
	for _, topic := range topics {
		if err := x.subscribe([]byte(topic)); err != nil {
			return err
		}
	}
	return nil
}

func (x *sub) unsubscribe(topic []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	n, _ := x.counts.Get(topic)
	if n > 0 {
		x.set(topic, n-1)
	}
	if n == 1 || x.verboseUnsub {
		x.announce(false, topic)
	}
	return nil
}
