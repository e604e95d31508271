package zmq

import (
	"sync"

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

// maxNotes bounds the notifications that the application has not received.
const maxNotes = 1 << 20

// xpub is the pattern of XPUB.
type xpub struct {
	*publisher

	noted sync.Mutex // protects queue; no other lock is taken under it
	queue []notification
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
	if len(x.queue) >= maxNotes {
		x.s.counter.noteDropped.Add(1)
		return false
	}
	x.queue = append(x.queue, n)
	return true
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
			x.subscribe(p, []byte(topic))
		} else {
			delete(x.given[p], topic)
			x.unsubscribe(p, []byte(topic))
		}
	}
	return nil
}

func (x *xpub) recvMsg() (one []byte, parts Msg, err error) {
	x.noted.Lock()
	if len(x.queue) == 0 {
		x.noted.Unlock()
		return nil, nil, errAgain
	}
	n := x.queue[0]
	x.queue[0] = notification{}
	x.queue = x.queue[1:]
	x.noted.Unlock()
	if n.from != nil && n.peers == n.from.peers.Load() {
		x.last.Store(n.from)
	}
	return n.one, n.parts, nil
}

func (x *xpub) canRecv() bool {
	x.noted.Lock()
	defer x.noted.Unlock()
	return len(x.queue) > 0
}
