package zmq

import (
	"fmt"
	"slices"
	"sync/atomic"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

const (
	// maxSubscriptions bounds the memory that the subscriptions of one peer may
	// take, each counted as its octets and topicCost: a million short ones fit.
	maxSubscriptions = 64 << 20
	topicCost        = 32
)

var errSubscriptions = &zmtp.Error{
	Code: zmtp.CodeMalformedMessage,
	Text: fmt.Sprintf("subscriptions of more than %d bytes", maxSubscriptions),
}

// publisher is the pattern of PUB, and of XPUB with what that adds: it knows
// what each peer subscribed to and sends messages to the peers that match.
type publisher struct {
	s *core

	// The fields below are protected by the send lock.
	topics flow.Prefixes[subscribers]
	subs   map[*pipe]topicSet // what each peer asked for
	given  map[*pipe]topicSet // what the application subscribed each peer to
	found  []subscribers      // by the last find
	dist   distributor
	o      publisherOptions

	last  atomic.Pointer[pipe]    // whose notification was received last
	notes func(notification) bool // XPUB: keeps a notification for the application; else nil
}

type publisherOptions struct {
	verbose, verboser, nodrop, manual, lastValue, invert, onlyFirst bool
	welcome                                                         []byte
}

func newPublisher(c *core) *publisher {
	return &publisher{s: c, subs: make(map[*pipe]topicSet), given: make(map[*pipe]topicSet)}
}

// optionsChanged is called with both locks held.
func (x *publisher) optionsChanged(o *options) {
	x.o = publisherOptions{
		verbose: o.XPubVerbose, verboser: o.XPubVerboser, nodrop: o.XPubNoDrop,
		manual: o.XPubManual || o.XPubManualLastValue, lastValue: o.XPubManualLastValue,
		invert: o.InvertMatching, onlyFirst: o.OnlyFirstSubscribe, welcome: o.XPubWelcome,
	}
}

func (x *publisher) attach(p *pipe) {
	x.dist.attach(p)
	x.subs[p] = make(topicSet)
	p.fan.want = firstRun
	if x.o.welcome != nil {
		p.out.Append(&flow.Message{One: x.o.welcome})
	}
}

func (x *publisher) detach(p *pipe) {
	x.dist.detach(p)
	x.forget(p)
	delete(x.subs, p)
	x.s.send.wakeAll() // a sender may have waited for p to have room
}

// disconnected notes that the next connection of p is another subscriber.
func (x *publisher) disconnected(p *pipe) {
	x.last.CompareAndSwap(p, nil)
	p.peers.Add(1)
}

// connected forgets the subscriptions of the peer that p was connected to
// before. Until then, the messages it subscribed to wait for it in the queue.
func (x *publisher) connected(p *pipe) {
	x.s.lockBoth()
	defer x.s.unlockBoth()
	if p.peers.Load() > 0 && x.subs[p] != nil {
		x.forget(p)
	}
}

// forget ends all subscriptions of p. The application of an XPUB is notified as
// if the peer had cancelled them. Both locks are held.
func (x *publisher) forget(p *pipe) {
	asked, given := x.subs[p], x.given[p]
	x.subs[p] = make(topicSet)
	delete(x.given, p)
	p.subscribed = 0
	p.fan.other(nil)
	x.last.CompareAndSwap(p, nil)
	given.forget(x.s, func(topic string) { x.unsubscribe(p, []byte(topic)) })
	asked.forget(x.s, func(topic string) {
		if _, again := x.subs[p][topic]; again {
			return
		}
		if x.o.manual || x.unsubscribe(p, []byte(topic)) || x.o.verboser {
			x.notify(nil, false, []byte(topic))
		}
	})
}

// subscription is a subscription of p, or the end of one.
func (x *publisher) subscription(p *pipe, add bool, topic []byte) {
	x.s.send.Lock()
	noted := x.change(p, add, topic) && x.notify(p, add, topic)
	x.s.send.Unlock()
	if noted {
		x.wakeReceivers()
	}
}

// change subscribes p or ends a subscription. It reports whether the
// application is to be notified.
func (x *publisher) change(p *pipe, add bool, topic []byte) (notify bool) {
	mine, ok := x.subs[p]
	if !ok {
		return false
	}
	_, known := mine[string(topic)]
	switch cost := len(topic) + topicCost; {
	case add && !known && p.subscribed+cost > maxSubscriptions && p.remote():
		p.closeFor(errSubscriptions)
		return false
	case add && !known:
		p.subscribed += cost
	case !add && known:
		p.subscribed -= cost
	}
	first := false
	switch {
	case add && !known:
		topic := string(topic) // of which the set and the prefixes share the octets
		mine[topic] = struct{}{}
		first = !x.o.manual && x.subscribe(p, topic)
	case !add:
		delete(mine, string(topic))
	}
	switch {
	case x.o.manual:
		return true
	case add:
		return first || x.o.verbose || x.o.verboser
	default:
		return x.unsubscribe(p, topic) || x.o.verboser
	}
}

// notify keeps a notification of a subscription for the application.
func (x *publisher) notify(p *pipe, add bool, topic []byte) bool {
	if x.notes == nil {
		return false
	}
	m := make([]byte, 1, 1+len(topic))
	if add {
		m[0] = 1
	}
	return x.notes(notification{from: p, one: append(m, topic...)})
}

func (x *publisher) wakeReceivers() {
	x.s.recv.Lock()
	x.s.recv.wakeOne()
	x.s.recv.Unlock()
}

// upstream is a message from p: subscriptions in the form of ZMTP 2.0, or what
// an XSUB sent. Each frame may be a subscription; with onlyFirst, none is in a
// message whose first frame is not. A subscription inside a message ends that
// part of the message for the application; what follows it is another one.
func (x *publisher) upstream(p *pipe, m Msg) {
	x.s.send.Lock()
	noted := false
	var rest Msg
	for i, f := range m {
		if i == 0 && x.o.onlyFirst && !isSubscription(f) {
			rest = m
			break
		}
		if !isSubscription(f) {
			rest = append(rest, f)
			continue
		}
		if !x.change(p, f[0] == 1, f[1:]) || x.notes == nil {
			continue
		}
		if len(rest) == 0 {
			noted = x.notify(p, f[0] == 1, f[1:]) || noted
			continue
		}
		noted = x.notes(notification{from: p, parts: append(rest, f).Clone()}) || noted
		rest = nil
	}
	x.s.send.Unlock()
	if len(rest) > 0 && x.notes != nil {
		noted = x.notes(notification{parts: rest.Clone()}) || noted
	}
	if noted {
		x.wakeReceivers()
	}
}

// room is always there: the application of a PUB gets no messages.
func (x *publisher) room(*pipe) bool { return true }

func (x *publisher) count() int {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	return x.topics.Len()
}

// names returns the topics, sorted.
func (x *publisher) names() []string {
	x.s.send.Lock()
	names := make([]string, 0, x.topics.Len())
	for topic := range x.topics.All {
		names = append(names, topic)
	}
	x.s.send.Unlock()
	slices.Sort(names)
	return names
}

// find collects in x.found the topics that a message matches. It reports whether
// the subscribers of one topic at most are all the peers that get the message.
func (x *publisher) find(topic []byte) (simple bool) {
	x.found = x.found[:0]
	x.topics.Matches(topic, func(f subscribers) bool {
		x.found = append(x.found, f)
		return true
	})
	return len(x.found) <= 1 && !x.o.invert && !x.o.lastValue
}

// match matches the peers that get a message, each by itself.
func (x *publisher) match(topic []byte) {
	x.find(topic)
	x.matchFound()
}

// matchFound is the rest of match after find.
func (x *publisher) matchFound() {
	d := &x.dist
	d.begin()
	for _, f := range x.found {
		f.each(d.match)
	}
	if x.o.invert {
		d.invert()
	}
	if last := x.last.Load(); last != nil && x.o.lastValue {
		want := slices.Contains(d.matched, last)
		d.begin()
		if want {
			d.match(last)
		}
	}
	for _, p := range d.matched {
		p.fan.other(nil)
	}
}

func (x *publisher) sendMsg(m flow.Message) (wake *pipe, err error) {
	topic := m.One
	if m.Parts != nil {
		topic = m.Parts[0]
	}
	if x.find(topic) {
		if len(x.found) == 0 {
			return nil, nil
		}
		f := x.found[0]
		if f.all == nil {
			return x.sendOne(f.one, &m)
		}
		return nil, x.sendAll(f.all, &m)
	}
	x.matchFound()
	if x.o.nodrop && !x.dist.ready() {
		return nil, errAgain
	}
	if x.o.lastValue {
		x.last.Store(nil)
	}
	return x.dist.send(m), nil
}

func (x *publisher) canSend() bool { return true }
