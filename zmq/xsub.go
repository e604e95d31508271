package zmq

import (
	"context"
	"slices"
	"sync"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// XSub is a Sub whose subscriptions can also be sent as messages: a frame
// that starts with 1 (subscribe) or 0 (unsubscribe), followed by the topic. Any
// other message goes upstream to the XPUB peers that have room; Send never
// waits. Recv returns everything that the publishers send, subscribed to or
// not.
//
// A message of several frames may hold subscriptions: each such frame is one,
// and the rest goes upstream as one message. With the option
// only_first_subscribe, a message whose first frame is no subscription goes
// upstream whole.
type XSub struct {
	common
	receiving
	x *xsub
}

// NewXSub makes an XSUB socket.
func NewXSub(opts ...Option) (*XSub, error) {
	x, err := newXSub(zmtp.XSUB, opts)
	if err != nil {
		return nil, err
	}
	return &XSub{common{x.s}, receiving{x.s}, x}, nil
}

// Subscribe is Sub.Subscribe.
func (s *XSub) Subscribe(prefix string) error { return s.x.subscribe([]byte(prefix)) }

// Unsubscribe is Sub.Unsubscribe.
func (s *XSub) Unsubscribe(prefix string) error { return s.x.unsubscribe([]byte(prefix)) }

// Topics returns the prefixes subscribed to, sorted.
func (s *XSub) Topics() []string { return s.x.topics() }

// Send subscribes, unsubscribes or sends a message upstream. It copies m.
func (s *XSub) Send(ctx context.Context, m Msg) error {
	if len(m) == 0 {
		return errNoFrames
	}
	up := m
	if wish(m[0]) || slices.ContainsFunc(m[1:], wish) && !s.x.s.options().OnlyFirstSubscribe {
		up = nil
		for _, f := range m {
			var err error
			switch {
			case !wish(f):
				up = append(up, f)
			case f[0] == 1:
				err = s.x.subscribe(f[1:])
			default:
				err = s.x.unsubscribe(f[1:])
			}
			if err != nil {
				return err
			}
		}
		if len(up) == 0 {
			return nil
		}
	}
	return s.x.s.sendMsg(ctx, flow.Message{Parts: up})
}

// SendOwned is Send. It copies m too, because it may go to several peers.
func (s *XSub) SendOwned(ctx context.Context, m Msg) error { return s.Send(ctx, m) }

// SendBytes is Send for a message of one frame.
func (s *XSub) SendBytes(ctx context.Context, b []byte) error { return s.Send(ctx, Msg{b}) }

// TrySend is Send, which never waits.
func (s *XSub) TrySend(m Msg) error { return s.Send(try, m) }

// wish tells whether a frame is a subscription or takes one back.
func wish(frame []byte) bool { return len(frame) > 0 && frame[0] <= 1 }

// xsub is the pattern of SUB and XSUB.
type xsub struct {
	s *core

	// mu keeps subscriptions and the peers they are told to in one order. It
	// is taken before any lock of a socket.
	mu    sync.Mutex
	refs  flow.Prefixes[int]
	peers map[*pipe]struct{}

	filter flow.Prefixes[struct{}] // of SUB; protected by the receive lock

	// The fields below are protected by the send lock.
	pipes []*pipe
	enc   flow.Batch
	// The fields below are protected by both locks.
	verboseUnsub bool
	invert       bool
}

func newXSub(t zmtp.SocketType, opts []Option) (*xsub, error) {
	c, err := newCore(t, false, opts)
	if err != nil {
		return nil, err
	}
	x := &xsub{s: c, peers: make(map[*pipe]struct{})}
	c.fair = true
	if t == zmtp.SUB {
		c.sub = x
	}
	if err := c.start(x); err != nil {
		return x, err
	}
	for _, topic := range c.o.subscribe {
		if err := x.subscribe([]byte(topic)); err != nil {
			return x, err
		}
	}
	return x, nil
}

// topics returns what is subscribed to, in the order of the octets.
func (x *xsub) topics() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	topics := make([]string, 0, x.refs.Len())
	for topic := range x.refs.All {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return topics
}

func (x *xsub) optionsChanged(o *options) {
	x.verboseUnsub, x.invert = o.XSubVerboseUnsubscribe, o.InvertMatching
}

func (x *xsub) subscribe(topic []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	n, _ := x.refs.Get(topic)
	x.refs.Put(topic, n+1)
	if x.s.typ == zmtp.SUB && n == 0 {
		x.s.recv.Lock()
		x.filter.Put(topic, struct{}{})
		x.s.recv.Unlock()
	}
	x.tell(true, topic)
	return nil
}

func (x *xsub) unsubscribe(topic []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	n, ok := x.refs.Get(topic)
	switch {
	case !ok && !x.verboseUnsub:
		return nil
	case n > 1:
		x.refs.Put(topic, n-1)
		if !x.verboseUnsub {
			return nil
		}
	case n == 1:
		x.refs.Delete(topic)
		x.s.recv.Lock()
		x.filter.Delete(topic)
		x.s.recv.Unlock()
	}
	x.tell(false, topic)
	return nil
}

func (x *xsub) tell(add bool, topic []byte) {
	for p := range x.peers {
		p.subscribe(add, topic)
	}
}

// connected sends every subscription to a publisher that is new or back, in
// the order of their octets, as libzmq does.
func (x *xsub) connected(p *pipe) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peers[p] = struct{}{}
	topics := make([]string, 0, x.refs.Len())
	for topic := range x.refs.All {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	for _, topic := range topics {
		p.subscribe(true, []byte(topic))
	}
}

func (x *xsub) lost(p *pipe) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.peers, p)
}

func (x *xsub) attach(p *pipe) {
	x.s.fq.Add(&p.inSeat)
	x.pipes = append(x.pipes, p)
}

func (x *xsub) detach(p *pipe) {
	x.pipes = remove(x.pipes, p)
}

func (x *xsub) sendMsg(m flow.Message) (*pipe, error) {
	return distribute(x.pipes, m, &x.enc), nil
}

func (x *xsub) recvMsg() (one []byte, parts Msg, err error) {
	for {
		p, flags, frame, ok := x.s.fairFrame()
		if !ok {
			return nil, nil, errAgain
		}
		if x.wanted(frame) {
			one, parts = x.s.rest(p, flags, frame)
			return one, parts, nil
		}
		x.s.skip(p, flags)
	}
}

// wanted is the filter of SUB: a publisher may send more than was asked for.
func (x *xsub) wanted(topic []byte) bool {
	return x.s.sub == nil || x.filter.Any(topic) != x.invert
}

func (x *xsub) canSendNow() bool { return true }

// canRecvNow drops what is not wanted until something is.
func (x *xsub) canRecvNow() bool {
	for x.s.fairReady() {
		seat, _ := x.s.fq.Current()
		c := seat.V.cur
		flags, topic := c.Next()
		if x.wanted(topic) {
			return true
		}
		c.SkipMessage(flags)
		seat.V.cur = c
		x.s.finish(seat.V)
	}
	return false
}
