package zmq

import (
	"context"
	"fmt"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Dish receives the messages of the groups that it joined from its RADIO
// peers, by fair queueing (RFC 48). Messages have two frames: the group and
// the body.
type Dish struct {
	common
	receiving
	x *dish
}

// NewDish returns a new DISH socket. It has joined no group.
func NewDish(opts ...Option) (*Dish, error) {
	c, err := newCore(zmtp.DISH, opts)
	if err != nil {
		return nil, err
	}
	x := &dish{fairQueue: &c.recv.fq, subscriptions: subscriptions{s: c}}
	x.filter = x
	return &Dish{common{c}, receiving{&c.recv}, x}, c.start(x)
}

// Join subscribes to the messages of a group of at most 255 octets. It fails
// if the group is joined already.
func (s *Dish) Join(group string) error { return s.x.change(true, group) }

// Leave undoes Join. It fails if the group is not joined.
func (s *Dish) Leave(group string) error { return s.x.change(false, group) }

// RecvGroup receives a message and returns its group and body.
func (s *Dish) RecvGroup(ctx context.Context) (group string, b []byte, err error) {
	m, err := s.in.recvMsg(ctx, nil)
	if err != nil {
		return "", nil, err
	}
	return string(m[0]), m[1], nil
}

// dish is the pattern of DISH.
type dish struct {
	*fairQueue
	subscriptions
}

func (x *dish) change(join bool, group string) error {
	if err := checkGroup([]byte(group)); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.s.alive(); err != nil {
		return err
	}
	n, _ := x.counts.Get([]byte(group))
	switch {
	case join && n > 0:
		return fmt.Errorf("zmq: join group %q: joined already", group)
	case !join && n == 0:
		return fmt.Errorf("zmq: leave group %q: not joined", group)
	case join:
		n = 1
	default:
		n = 0
	}
	x.set([]byte(group), n)
	x.announce(join, []byte(group))
	return nil
}

// accepts refuses messages of groups that were not joined, and those that are
// not a group and a body.
func (x *dish) accepts(p *pipe) bool {
	c := p.cur
	flags, group := c.Next()
	if _, joined := x.accepted.Get(group); !joined || flags&flow.More == 0 {
		return false
	}
	if flags, _ = c.Next(); flags&flow.More != 0 {
		x.s.counter.malformed.Add(1)
		return false
	}
	return true
}
