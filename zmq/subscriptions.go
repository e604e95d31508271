package zmq

import (
	"slices"
	"sync"

	"lintel.dev/internal/zmq/flow"
)

// subscriptions are the topics of a SUB or XSUB, or the groups of a DISH, and
// the peers that know of them. Every publisher gets all changes in one order.
type subscriptions struct {
	s *core

	// mu is taken before any lock of a socket.
	mu sync.Mutex
	// The fields below are protected by mu.
	counts flow.Prefixes[int] // how often each topic was subscribed to
	peers  map[*pipe]struct{} // connected

	// accepted has the topics in use, for the filter of SUB and DISH. It is
	// changed with mu and the receive lock held.
	accepted flow.Prefixes[struct{}]
}

// set changes how often a topic was subscribed to. mu is held.
func (u *subscriptions) set(topic []byte, n int) {
	before, _ := u.counts.Get(topic)
	if n == 0 {
		u.counts.Delete(topic)
	} else {
		u.counts.Put(string(topic), n)
	}
	if u.s.recv.fq.filter == nil || (before == 0) == (n == 0) {
		return
	}
	u.s.recv.Lock()
	if n == 0 {
		u.accepted.Delete(topic)
	} else {
		u.accepted.Put(string(topic), struct{}{})
	}
	u.s.recv.Unlock()
}

// announce sends a subscription or its end to all peers. mu is held.
func (u *subscriptions) announce(add bool, topic []byte) {
	for p := range u.peers {
		p.subscribe(add, topic)
	}
}

// connected sends all subscriptions to a publisher that is new or back, in the
// order of their octets, as libzmq does.
func (u *subscriptions) connected(p *pipe) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.peers == nil {
		u.peers = make(map[*pipe]struct{})
	}
	u.peers[p] = struct{}{}
	for _, topic := range u.sorted() {
		p.subscribe(true, []byte(topic))
	}
}

func (u *subscriptions) disconnected(p *pipe) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.peers, p)
}

// sorted returns the topics in the order of their octets. mu is held.
func (u *subscriptions) sorted() []string {
	topics := make([]string, 0, u.counts.Len())
	for topic := range u.counts.All {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return topics
}

// topics returns the topics in the order of their octets.
func (u *subscriptions) topics() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sorted()
}
