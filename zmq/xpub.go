package zmq

import (
	"slices"
	"sync"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// XPub is a Pub that also receives what its peers send: subscriptions, as a
// message of one frame that starts with 1 (subscribe) or 0 (unsubscribe)
// followed by the topic, and the messages that XSUB peers send upstream. At
// most 1,048,576 of them wait to be received; further ones are dropped and
// counted as DroppedNotices.
type XPub struct {
	common
	sending
	receiving
	x *xpub
}

// NewXPub returns a new XPUB socket.
func NewXPub(opts ...Option) (*XPub, error) {
	c, err := newCore(zmtp.XPUB, opts)
	if err != nil {
		return nil, err
	}
	x := &xpub{publisher: newPublisher(c)}
	x.notes = x.note
	return &XPub{common{c}, sending{&c.send}, receiving{&c.recv}, x}, c.start(x)
}

// Subscribe subscribes the peer whose subscription was received last to a
// topic. Without the option xpub_manual it returns ErrNotSupported.
func (s *XPub) Subscribe(topic string) error { return s.x.manually(true, topic) }

// Unsubscribe undoes Subscribe for the peer whose subscription was received
// last. Without the option xpub_manual it returns ErrNotSupported.
func (s *XPub) Unsubscribe(topic string) error { return s.x.manually(false, topic) }

// TopicCount returns the number of distinct topics that peers subscribe to.
func (s *XPub) TopicCount() int { return s.x.count() }

// Topics returns the topics that peers subscribe to, sorted. It copies them with
// the socket locked: use it for diagnosis, not for each message.
func (s *XPub) Topics() []string { return s.x.names() }

// maxNotes bounds the notifications that the application has not received, and
// the option rcvhwm_octets their octets and those of messages. Notifications
// beyond are dropped and counted; the peers that sent messages are held back.
const maxNotes = 1 << 20

// xpub is the pattern of XPUB.
type xpub struct {
	*publisher

	noted sync.Mutex // no other lock of zmq is taken under it
	// The fields below are protected by noted.
	queue  flow.FIFO[notification]
	octets int // of queue
	limit  int // of octets; 0: none
	held   []*pipe
}

// notification is a message for the application of an XPUB.
type notification struct {
	from  *pipe  // of a subscription
	peers uint32 // pipe.peers then
	one   []byte
	parts Msg
}

func (x *xpub) note(n notification) bool {
	if n.from != nil {
		n.peers = n.from.peers.Load()
	}
	x.noted.Lock()
	defer x.noted.Unlock()
	if n.parts == nil && (x.queue.Len() >= maxNotes || x.over(x.limit)) {
		x.s.counter.noteDropped.Add(1)
		return false
	}
	x.queue.Push(n)
	x.octets += n.size()
	return true
}

func (n *notification) size() int { return len(n.one) + n.parts.Size() + frameCost*(1+len(n.parts)) }

// over reports whether limit octets or more wait, if limit is not 0. x.noted is
// held.
func (x *xpub) over(limit int) bool { return limit > 0 && x.octets >= limit }

// upstream is publisher.upstream. A peer whose messages, other than
// subscriptions, are for the application can be held back.
func (x *xpub) upstream(p *pipe, m Msg) {
	if !isSubscription(m[0]) || len(m) > 1 {
		p.upstream.Store(true)
	}
	x.publisher.upstream(p, m)
}

// room reports whether p, if it sends messages, may send more.
func (x *xpub) room(p *pipe) bool {
	x.noted.Lock()
	defer x.noted.Unlock()
	if !p.upstream.Load() || !x.over(x.limit) {
		return true
	}
	if !slices.Contains(x.held, p) {
		x.held = append(x.held, p)
	}
	return false
}

func (x *xpub) optionsChanged(o *options) {
	x.publisher.optionsChanged(o)
	x.noted.Lock()
	x.limit = o.RecvBytes
	x.noted.Unlock()
}

func (x *xpub) detach(p *pipe) {
	x.publisher.detach(p)
	x.noted.Lock()
	x.held = remove(x.held, p)
	x.noted.Unlock()
}

func (x *xpub) manually(add bool, topic string) error {
	x.s.send.Lock()
	defer x.s.send.Unlock()
	if !x.o.manual {
		return ErrNotSupported
	}
	if p := x.last.Load(); p != nil && x.subs[p] != nil {
		if add {
			if x.given[p] == nil {
				x.given[p] = make(topicSet)
			}
			x.given[p][topic] = struct{}{}
			x.subscribe(p, topic)
		} else {
			delete(x.given[p], topic)
			x.unsubscribe(p, []byte(topic))
		}
	}
	return nil
}

func (x *xpub) recvMsg() (one []byte, parts Msg, err error) {
	x.noted.Lock()
	if x.queue.Len() == 0 {
		x.noted.Unlock()
		return nil, nil, errAgain
	}
	n := x.queue.Pop()
	x.octets -= n.size()
	var held []*pipe
	if !x.over(x.limit/2 + 1) {
		held, x.held = x.held, nil
	}
	x.noted.Unlock()
	for _, p := range held {
		if p.inproc() != nil {
			p.s.wg.Go(func() { p.s.readable(p) })
		} else {
			p.resumeProducer()
		}
	}
	if n.from != nil && n.peers == n.from.peers.Load() {
		x.last.Store(n.from)
	}
	return n.one, n.parts, nil
}

func (x *xpub) canRecv() bool {
	x.noted.Lock()
	defer x.noted.Unlock()
	return x.queue.Len() > 0
}
