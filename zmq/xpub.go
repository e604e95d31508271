package zmq

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// XPub is a Pub that also receives: subscriptions, as a message of one frame
// that starts with 1 (subscribe) or 0 (unsubscribe) and goes on with the
// topic, and whatever an XSub sends upstream.
type XPub struct {
	common
	sending
	receiving
	x *xpub
}

// NewXPub makes an XPUB socket.
func NewXPub(opts ...Option) (*XPub, error) {
	x, err := newXPub(zmtp.XPUB, opts)
	if err != nil {
		return nil, err
	}
	return &XPub{common{x.s}, sending{x.s}, receiving{x.s}, x}, nil
}

// Subscribe subscribes the peer whose notification was received last. It
// needs the option XPubManual.
func (s *XPub) Subscribe(topic string) error { return s.x.manually(true, topic) }

// Unsubscribe takes back what Subscribe did for the peer whose notification
// was received last. It needs the option XPubManual.
func (s *XPub) Unsubscribe(topic string) error { return s.x.manually(false, topic) }

// TopicCount returns the number of distinct topics that peers subscribe to.
func (s *XPub) TopicCount() int { return s.x.count() }

const (
	// maxWishes bounds what the subscriptions of one peer may take, each
	// counting its octets and topicCost: a million short ones are no problem.
	maxWishes = 64 << 20
	topicCost = 32
)

var errWishes = &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: fmt.Sprintf("subscriptions of more than %d bytes", maxWishes)}

// maxNotes bounds the notifications an application has not received yet.
const maxNotes = 1 << 20

// xpub is the pattern of PUB and XPUB.
type xpub struct {
	s *core

	// The fields below are protected by the send lock.
	topics flow.Prefixes[followers]
	pipes  []*pipe
	subs   map[*pipe]map[string]struct{} // what each peer asked for
	epoch  uint64
	found  []followers // by the last match
	hits   []*pipe
	enc    flow.Batch
	o      xpubOptions

	last atomic.Pointer[pipe] // whose notification was received last

	noted sync.Mutex // protects notes; nothing is locked under it
	notes []note
}

type xpubOptions struct {
	verbose, verboser, nodrop, manual, lastValue, invert, onlyFirst bool
	welcome                                                         []byte
}

// note is a message for the application of an XPUB.
type note struct {
	from  *pipe // of a subscription
	one   []byte
	parts Msg
}

func newXPub(t zmtp.SocketType, opts []Option) (*xpub, error) {
	c, err := newCore(t, false, opts)
	if err != nil {
		return nil, err
	}
	x := &xpub{s: c, subs: make(map[*pipe]map[string]struct{})}
	return x, c.start(x)
}

// optionsChanged is called with both locks held.
func (x *xpub) optionsChanged(o *options) {
	x.o = xpubOptions{
		verbose: o.XPubVerbose, verboser: o.XPubVerboser, nodrop: o.XPubNoDrop,
		manual: o.XPubManual || o.XPubManualLastValue, lastValue: o.XPubManualLastValue,
		invert: o.InvertMatching, onlyFirst: o.OnlyFirstSubscribe, welcome: o.XPubWelcome,
	}
}

func (x *xpub) attach(p *pipe) {
	x.pipes = append(x.pipes, p)
	x.subs[p] = make(map[string]struct{})
	p.fan.want = firstRun
	if x.o.welcome != nil {
		p.out.Append(&flow.Message{One: x.o.welcome})
	}
}

func (x *xpub) detach(p *pipe) {
	x.pipes = slices.DeleteFunc(x.pipes, func(q *pipe) bool { return q == p })
	x.forget(p)
	delete(x.subs, p)
	x.last.CompareAndSwap(p, nil)
	x.s.wakeSenders() // one may have waited for p to have room
}

// forget ends all subscriptions of p and tells the application as if the
// peer had cancelled them, in the order of their octets. Both locks are held.
func (x *xpub) forget(p *pipe) {
	topics := maps.Keys(x.subs[p])
	if x.s.typ == zmtp.XPUB {
		topics = slices.Values(slices.Sorted(topics))
	}
	for topic := range topics {
		if last := x.o.manual || x.drop(p, []byte(topic)); last || x.o.verboser {
			x.notify(nil, false, []byte(topic))
		}
	}
	if x.o.manual {
		x.dropAll(p)
	}
	clear(x.subs[p])
	p.wishes = 0
	x.s.wakeReceivers()
}

// dropAll removes p from every topic, for subscriptions made by hand.
func (x *xpub) dropAll(p *pipe) {
	var topics []string
	for topic, f := range x.topics.All {
		if f.has(p) {
			topics = append(topics, topic)
		}
	}
	for _, topic := range topics {
		x.drop(p, []byte(topic))
	}
}

// subscription is what p asked for.
func (x *xpub) subscription(p *pipe, add bool, topic []byte) {
	x.s.send.Lock()
	noted := x.subscribed(p, add, topic) && x.notify(p, add, topic)
	x.s.send.Unlock()
	if noted {
		x.wakeReceivers()
	}
}

// subscribed reports whether the application is to be told.
func (x *xpub) subscribed(p *pipe, add bool, topic []byte) bool {
	mine, ok := x.subs[p]
	if !ok {
		return false
	}
	_, known := mine[string(topic)]
	switch cost := len(topic) + topicCost; {
	case add && !known && p.wishes+cost > maxWishes && p.link.Load() != nil:
		p.link.Load().close(errWishes)
		return false
	case add && !known:
		p.wishes += cost
	case !add && known:
		p.wishes -= cost
	}
	if add {
		mine[string(topic)] = struct{}{}
	} else {
		delete(mine, string(topic))
	}
	switch {
	case x.o.manual:
		return true
	case add:
		return !known && x.follow(p, topic) || x.o.verbose || x.o.verboser
	default:
		return x.drop(p, topic) || x.o.verboser
	}
}

// notify leaves a notification for the application of an XPUB.
func (x *xpub) notify(p *pipe, add bool, topic []byte) bool {
	m := make([]byte, 1, 1+len(topic))
	if add {
		m[0] = 1
	}
	return x.note(note{from: p, one: append(m, topic...)})
}

func (x *xpub) note(n note) bool {
	if x.s.typ != zmtp.XPUB {
		return false
	}
	x.noted.Lock()
	defer x.noted.Unlock()
	if len(x.notes) >= maxNotes {
		x.s.counter.noteDropped.Add(1)
		return false
	}
	x.notes = append(x.notes, n)
	return true
}

func (x *xpub) wakeReceivers() {
	x.s.recv.Lock()
	x.s.wakeReceivers()
	x.s.recv.Unlock()
}

// upstream is a message from p: the old form of a subscription, or one that
// an XSUB sent. Every frame may be a subscription; with onlyFirst, none is in a
// message that does not begin with one. The notification of one inside a
// message is a frame of it, and the last: what follows is another message.
func (x *xpub) upstream(p *pipe, m Msg) {
	x.s.send.Lock()
	noted := false
	var rest Msg
	for i, f := range m {
		if i == 0 && x.o.onlyFirst && !wish(f) {
			rest = m
			break
		}
		if !wish(f) {
			rest = append(rest, f)
			continue
		}
		if !x.subscribed(p, f[0] == 1, f[1:]) {
			continue
		}
		if len(rest) == 0 {
			noted = x.notify(p, f[0] == 1, f[1:]) || noted
			continue
		}
		noted = x.note(note{from: p, parts: append(rest, f).Clone()}) || noted
		rest = nil
	}
	x.s.send.Unlock()
	if len(rest) > 0 {
		noted = x.note(note{parts: rest.Clone()}) || noted
	}
	if noted {
		x.wakeReceivers()
	}
}

func (x *xpub) manually(add bool, topic string) error {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	if !x.o.manual {
		return ErrNotSupported
	}
	if p := x.last.Load(); p != nil && x.subs[p] != nil {
		if add {
			x.follow(p, []byte(topic))
		} else {
			x.drop(p, []byte(topic))
		}
	}
	return nil
}

func (x *xpub) count() int {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	return x.topics.Len()
}

// find collects in x.found the topics that a message matches. It reports
// whether those who want it are just the followers of one, if any.
func (x *xpub) find(topic []byte) (simple bool) {
	x.found = x.found[:0]
	x.topics.Matches(topic, func(f followers) bool {
		x.found = append(x.found, f)
		return true
	})
	return len(x.found) <= 1 && !x.o.invert && !x.o.lastValue
}

// match collects in x.hits the pipes that want a message, which they will get
// by themselves.
func (x *xpub) match(topic []byte) {
	x.find(topic)
	x.collect()
}

// collect is the rest of match after find.
func (x *xpub) collect() {
	x.epoch++
	x.hits = x.hits[:0]
	for _, f := range x.found {
		f.each(x.hit)
	}
	if x.o.invert {
		x.hits = x.hits[:0]
		for _, p := range x.pipes {
			if p.mark != x.epoch {
				x.hits = append(x.hits, p)
			}
		}
	}
	if last := x.last.Load(); last != nil && x.o.lastValue {
		want := slices.Contains(x.hits, last)
		x.hits = x.hits[:0]
		if want {
			x.hits = append(x.hits, last)
		}
	}
	for _, p := range x.hits {
		p.fan.other(nil)
	}
}

func (x *xpub) hit(p *pipe) {
	if p.mark != x.epoch {
		p.mark = x.epoch
		x.hits = append(x.hits, p)
	}
}

func (x *xpub) sendMsg(m flow.Message) (*pipe, error) {
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
	x.collect()
	if x.o.nodrop {
		for _, p := range x.hits {
			if !p.out.Ready() {
				return nil, errAgain
			}
		}
	}
	if x.o.lastValue {
		x.last.Store(nil)
	}
	return distribute(x.hits, m, &x.enc), nil
}

// distribute gives m to all pipes that have room, encoding it once. It kicks
// them, but for a lone one, which it returns.
func distribute(to []*pipe, m flow.Message, enc *flow.Batch) (kick *pipe) {
	if len(to) == 1 {
		switch to[0].out.Append(&m) {
		case flow.Full:
			to[0].stats.dropped.Add(1)
		case flow.Wake:
			return to[0]
		}
		return nil
	}
	if len(to) == 0 {
		return nil
	}
	enc.Reset()
	enc.Message(&m)
	for _, p := range to {
		p.offer(enc)
	}
	return nil
}

func (x *xpub) recvMsg() (one []byte, parts Msg, err error) {
	x.noted.Lock()
	if len(x.notes) == 0 {
		x.noted.Unlock()
		return nil, nil, errAgain
	}
	n := x.notes[0]
	x.notes[0] = note{}
	x.notes = x.notes[1:]
	x.noted.Unlock()
	if n.from != nil {
		x.last.Store(n.from)
	}
	return n.one, n.parts, nil
}

func (x *xpub) canSendNow() bool { return true }

func (x *xpub) canRecvNow() bool {
	x.noted.Lock()
	defer x.noted.Unlock()
	return len(x.notes) > 0
}
