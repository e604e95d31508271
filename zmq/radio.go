package zmq

import (
	"context"
	"fmt"
	"slices"

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
	x := &radio{s: c, groups: make(map[string][]*pipe), joined: make(map[*pipe]topicSet)}
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
	joined map[*pipe]topicSet
	all    []*pipe // over datagrams, where peers cannot join a group
	dist   distributor
}

func (x *radio) attach(p *pipe) {
	if p.ep.at.Scheme == "udp" {
		x.all = append(x.all, p)
		return
	}
	x.joined[p] = make(topicSet)
	p.subscribed = 0
}

func (x *radio) detach(p *pipe) {
	x.all = remove(x.all, p)
	x.forget(p)
	delete(x.joined, p)
}

// forget makes p leave all groups. Both locks are held.
func (x *radio) forget(p *pipe) {
	joined := x.joined[p]
	x.joined[p] = make(topicSet)
	p.subscribed = 0
	joined.forget(x.s, func(group string) {
		if _, again := x.joined[p][group]; !again {
			x.leave(p, group)
		}
	})
}

// disconnected notes that the next connection of p is another DISH, and connected
// makes it leave the groups of the one before.
func (x *radio) disconnected(p *pipe) { p.peers.Add(1) }

func (x *radio) connected(p *pipe) {
	x.s.lockBoth()
	defer x.s.unlockBoth()
	if p.peers.Load() > 0 && x.joined[p] != nil {
		x.forget(p)
	}
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
		if p.peers.Load() == 0 || !slices.Contains(x.groups[group], p) { // left by a DISH before
			x.groups[group] = append(x.groups[group], p)
		}
	case !add && known:
		p.subscribed -= cost
		delete(mine, group)
		x.leave(p, group)
	}
}

// upstream drops messages: a DISH does not send any.
func (x *radio) upstream(*pipe, Msg) {}

func (x *radio) room(*pipe) bool { return true }

func (x *radio) sendMsg(m flow.Message) (*pipe, error) {
	if len(m.Parts) != 2 {
		return nil, fmt.Errorf("zmq: message of %d frames, a RADIO sends a group and a body: %w", max(len(m.Parts), 1), ErrNotSupported)
	}
	if err := checkGroup(m.Parts[0]); err != nil {
		return nil, err
	}
	x.dist.begin()
	for _, p := range x.groups[string(m.Parts[0])] {
		if !p.gone {
			x.dist.match(p)
		}
	}
	for _, p := range x.all {
		x.dist.match(p)
	}
	return x.dist.send(m), nil
}

func (x *radio) canSend() bool { return true }
