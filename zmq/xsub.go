package zmq

import (
	"context"
	"slices"

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

// NewXSub returns a new XSUB socket.
func NewXSub(opts ...Option) (*XSub, error) {
	c, err := newCore(zmtp.XSUB, opts)
	if err != nil {
		return nil, err
	}
	x := &xsub{sub: newSub(c)}
	if err := c.start(x); err != nil {
		return nil, err
	}
	return &XSub{common{c}, receiving{&c.recv}, x}, x.subscribeAll(c.o.subscribe)
}

// Subscribe is Sub.Subscribe.
func (s *XSub) Subscribe(prefix string) error { return s.x.subscribe([]byte(prefix)) }

// Unsubscribe is Sub.Unsubscribe.
func (s *XSub) Unsubscribe(prefix string) error { return s.x.unsubscribe([]byte(prefix)) }

// Topics returns the prefixes subscribed to, sorted.
func (s *XSub) Topics() []string { return s.x.topics() }

// Send subscribes, unsubscribes or sends a message upstream. It copies m.
func (s *XSub) Send(ctx context.Context, m Msg) error { return s.x.send(ctx, m, false) }

// SendOwned is Send without copying large frames: they must not be changed
// afterwards.
func (s *XSub) SendOwned(ctx context.Context, m Msg) error { return s.x.send(ctx, m, true) }

// SendBytes is Send for a message of one frame.
func (s *XSub) SendBytes(ctx context.Context, b []byte) error { return s.Send(ctx, Msg{b}) }

// TrySend is Send, which never waits.
func (s *XSub) TrySend(m Msg) error { return s.Send(try, m) }

// xsub is the pattern of XSUB.
type xsub struct {
	*sub
	dist distributor
}

func (x *xsub) send(ctx context.Context, m Msg, owned bool) error {
	if len(m) == 0 {
		return errNoFrames
	}
	up := m
	if isSubscription(m[0]) || slices.ContainsFunc(m[1:], isSubscription) && !x.s.options().OnlyFirstSubscribe {
		up = nil
		for _, f := range m {
			var err error
			switch {
			case !isSubscription(f):
				up = append(up, f)
			case f[0] == 1:
				err = x.subscribe(f[1:])
			default:
				err = x.unsubscribe(f[1:])
			}
			if err != nil {
				return err
			}
		}
		if len(up) == 0 {
			return nil
		}
	}
	return x.s.send.sendMsg(ctx, flow.Message{Parts: up, Owned: owned})
}

// isSubscription reports whether a frame subscribes or unsubscribes.
func isSubscription(frame []byte) bool { return len(frame) > 0 && frame[0] <= 1 }

func (x *xsub) attach(p *pipe) {
	x.fairQueue.attach(p)
	x.dist.attach(p)
}

func (x *xsub) detach(p *pipe) { x.dist.detach(p) }

func (x *xsub) sendMsg(m flow.Message) (wake *pipe, err error) {
	return x.dist.sendTo(x.dist.pipes, m), nil
}

func (x *xsub) canSend() bool { return true }
