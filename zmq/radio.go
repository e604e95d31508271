package zmq

import (
	"context"
	"fmt"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// maxGroup is the longest name of a group (RFC 48).
const maxGroup = 255

func checkGroup(group []byte) error {
	if len(group) > maxGroup {
		return fmt.Errorf("zmq: group of %d octets, expected at most %d", len(group), maxGroup)
	}
	return nil
}

// Radio sends each message to the DISH peers that joined its group (RFC 48).
// A peer whose queue is full misses it, which Stats counts as DroppedFull.
// Sending never waits. Messages have two frames: the group, of at most 255
// octets, and the body.
type Radio struct {
	common
	sending
}

// NewRadio returns a new RADIO socket.
func NewRadio(opts ...Option) (*Radio, error) {
	c, err := newCore(zmtp.RADIO, opts)
	if err != nil {
		return nil, err
	}
	x := &radio{s: c, groups: make(map[string][]*pipe), joined: make(map[*pipe]map[string]struct{})}
	return &Radio{common{c}, sending{&c.send}}, c.start(x)
}

// SendGroup sends a message of group and body.
func (s *Radio) SendGroup(ctx context.Context, group string, b []byte) error {
	return s.out.sendMsg(ctx, flow.Message{Parts: Msg{[]byte(group), b}})
}

// radio is the pattern of RADIO.
type radio struct {
	s *core
	// The fields below are protected by the send lock.
	groups map[string][]*pipe
	joined map[*pipe]map[string]struct{}
	all    []*pipe // over datagrams, where peers cannot join a group
	dist   distributor
}

func (x *radio) attach(p *pipe) {
	if p.ep.at.Scheme == "udp" {
		x.all = append(x.all, p)
		return
	}
	x.joined[p] = make(map[string]struct{})
	p.subscribed = 0
}

func (x *radio) detach(p *pipe) {
	x.all = remove(x.all, p)
	for group := range x.joined[p] {
		x.leave(p, group)
	}
	delete(x.joined, p)
}

func (x *radio) leave(p *pipe, group string) {
	if rest := remove(x.groups[group], p); len(rest) > 0 {
		x.groups[group] = rest
	} else {
		delete(x.groups, group)
	}
}

// subscription is a peer that joins a group or leaves it.
func (x *radio) subscription(p *pipe, add bool, topic []byte) {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	mine, ok := x.joined[p]
	if !ok || len(topic) > maxGroup {
		return
	}
	group := string(topic)
	_, known := mine[group]
	switch cost := len(topic) + topicCost; {
	case add && !known && p.subscribed+cost > maxSubscriptions && p.remote():
		p.closeFor(errSubscriptions)
	case add && !known:
		p.subscribed += cost
		mine[group] = struct{}{}
		x.groups[group] = append(x.groups[group], p)
	case !add && known:
		p.subscribed -= cost
		delete(mine, group)
		x.leave(p, group)
	}
}

// upstream drops messages: a DISH does not send any.
func (x *radio) upstream(*pipe, Msg) {}

func (x *radio) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) != 2 {
		return nil, fmt.Errorf("zmq: message of %d frames, a RADIO sends a group and a body: %w", max(len(m.Parts), 1), ErrNotSupported)
	}
	if err := checkGroup(m.Parts[0]); err != nil {
		return nil, err
	}
	x.dist.matched = append(append(x.dist.matched[:0], x.groups[string(m.Parts[0])]...), x.all...)
	return x.dist.send(m), nil
}

func (x *radio) canSend() bool { return true }
