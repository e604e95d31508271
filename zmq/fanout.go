package zmq

import (
	"math"
	"slices"

	"lintel.dev/internal/zmq/flow"
)

// followers are the peers subscribed to one topic: one, or an audience.
type followers struct {
	one *pipe
	all *audience
}

// audience are several peers subscribed to one topic. Those that get nothing
// but the topic's messages share them by a log; the others get each by
// themselves, as do those near their high-water marks, so that marks stay
// exact and slow peers hold nobody up.
type audience struct {
	apart []*pipe
	log   flow.Log
	at    []*pipe // reading the log
}

// fanSeat is what a publisher remembers of a pipe; the send lock protects it.
type fanSeat struct {
	last *audience // of the last message
	run  int       // messages in a row that came by it
	want int       // run that lets the pipe read the log
	at   int       // place in last.at, plus one; 0 is not reading
}

const (
	// A pipe reads an audience's log after so many messages of it in a row,
	// more each time it gets others nevertheless.
	firstRun, longestRun = 16, 1 << 12
	// logRoom is the room that a pipe which begins to read a log must have, and
	// leastRoom what it must keep.
	logRoom, leastRoom = 128, 32
)

func (f followers) has(p *pipe) bool {
	if f.all == nil {
		return f.one == p
	}
	return slices.Contains(f.all.apart, p) || slices.Contains(f.all.at, p)
}

func (f followers) each(do func(*pipe)) {
	if f.all == nil {
		do(f.one)
		return
	}
	for _, p := range f.all.apart {
		do(p)
	}
	for _, p := range f.all.at {
		do(p)
	}
}

// follow subscribes p; it reports whether the topic is new.
func (x *xpub) follow(p *pipe, topic []byte) (first bool) {
	f, ok := x.topics.Get(topic)
	switch {
	case !ok:
		x.topics.Put(topic, followers{one: p})
		return true
	case f.has(p):
	case f.all == nil:
		x.topics.Put(topic, followers{all: &audience{apart: []*pipe{f.one, p}}})
	default:
		f.all.apart = append(f.all.apart, p)
	}
	return false
}

// drop unsubscribes p; it reports whether nobody follows the topic now.
func (x *xpub) drop(p *pipe, topic []byte) (last bool) {
	f, ok := x.topics.Get(topic)
	switch {
	case !ok:
		return true
	case !f.has(p):
	case f.all == nil:
		x.topics.Delete(topic)
		return true
	default:
		f.all.remove(p)
		if len(f.all.apart)+len(f.all.at) == 1 {
			var one *pipe
			f.each(func(p *pipe) { one = p })
			f.all.remove(one)
			x.topics.Put(topic, followers{one: one})
		}
	}
	return false
}

// remove ends p's belonging to a.
func (a *audience) remove(p *pipe) {
	if p.fan.last == a {
		p.fan.other(nil)
	}
	a.apart = remove(a.apart, p)
}

// other notes that p gets a message from elsewhere than its last audience.
func (s *fanSeat) other(a *audience) {
	if s.last == a {
		return
	}
	if s.at > 0 {
		s.leave()
		s.want = min(2*s.want, longestRun)
	}
	s.last, s.run = a, 0
}

// join lets p, which is apart[i] and has just got a message, read the log.
func (a *audience) join(i int, p *pipe) {
	s := &p.fan
	s.run = 0
	if !p.out.Follow(&a.log, p, logRoom) {
		return
	}
	last := len(a.apart) - 1
	a.apart[i] = a.apart[last]
	a.apart[last] = nil
	a.apart = a.apart[:last]
	a.at = append(a.at, p)
	s.at = len(a.at)
}

// leave ends join.
func (s *fanSeat) leave() {
	a := s.last
	p := a.at[s.at-1]
	p.out.Leave()
	last := len(a.at) - 1
	a.at[s.at-1] = a.at[last]
	a.at[s.at-1].fan.at = s.at
	a.at[last] = nil
	a.at = a.at[:last]
	a.apart = append(a.apart, p)
	s.at, s.run = 0, 0
}

// look finds for how many messages all who read the log have room. Those that
// have little read it no longer.
func (a *audience) look() {
	room := math.MaxInt
	for i := len(a.at) - 1; i >= 0; i-- {
		p := a.at[i]
		if n := p.out.Room(&a.log); n < leastRoom {
			p.fan.leave()
		} else {
			room = min(room, n)
		}
	}
	a.log.SetRoom(room)
}

// ready reports whether everyone has room for a message.
func (a *audience) ready() bool {
	if !a.log.Ready() {
		a.look()
	}
	for _, p := range a.apart {
		if !p.out.Ready() {
			return false
		}
	}
	return true
}

// sendAll sends m to an audience.
func (x *xpub) sendAll(a *audience, m *flow.Message) error {
	if x.o.nodrop && !a.ready() {
		return errAgain
	}
	n, fits := m.Loggable()
	for fits && len(a.at) > 0 {
		rouse, ok := a.log.Append(m, n)
		if !ok {
			a.look()
			continue
		}
		for _, q := range rouse {
			if q.Rouse() == flow.Wake {
				q.Owner().(*pipe).kickLater()
			}
		}
		break
	}
	if len(a.apart) == 0 && fits {
		return nil
	}
	x.enc.Reset()
	x.enc.Message(m)
	if !fits {
		for _, p := range a.at {
			p.offer(&x.enc)
		}
	}
	for i := len(a.apart) - 1; i >= 0; i-- {
		p := a.apart[i]
		p.fan.other(a)
		switch s := &p.fan; {
		case !p.offer(&x.enc) || !fits:
			s.run = 0
		case s.run < s.want:
			s.run++
		default:
			a.join(i, p)
		}
	}
	return nil
}

// sendOne sends m to the only subscriber, which is returned if it is to be
// kicked.
func (x *xpub) sendOne(p *pipe, m *flow.Message) (*pipe, error) {
	if x.o.nodrop && !p.out.Ready() {
		return nil, errAgain
	}
	p.fan.other(nil)
	var r flow.Result
	if m.Parts == nil && !m.Owned {
		r = p.out.AppendOne(m.One)
	} else {
		r = p.out.Append(m)
	}
	switch r {
	case flow.Full:
		p.stats.dropped.Add(1)
	case flow.Wake:
		return p, nil
	}
	return nil, nil
}

// offer queues an encoded message or drops it.
func (p *pipe) offer(b *flow.Batch) bool {
	switch p.out.AppendEncoded(b.Enc, b.Refs) {
	case flow.Full:
		p.stats.dropped.Add(1)
		return false
	case flow.Wake:
		p.kickLater()
	}
	return true
}
