package zmq

import (
	"errors"
	"fmt"

	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// inprocEngine is the engine between two sockets of one process. What one of two
// joined pipes sends is what the other receives, so there is nothing to carry:
// the engine only wakes the other side.
type inprocEngine struct{ peer *pipe }

// inproc returns the other pipe of a connection in process, nil for others.
func (p *pipe) inproc() *pipe {
	if e := p.engine.Load(); e != nil {
		if i, ok := (*e).(*inprocEngine); ok {
			return i.peer
		}
	}
	return nil
}

// Kick wakes the receivers of the peer.
func (e *inprocEngine) Kick() { e.peer.s.readable(e.peer) }

// KickLater is Kick, which never blocks.
func (e *inprocEngine) KickLater() { e.Kick() }

// Resume wakes the senders of the peer.
func (e *inprocEngine) Resume() { e.peer.s.writable(e.peer) }

// Subscribe hands a subscription to the peer, if that is a publisher.
func (e *inprocEngine) Subscribe(add bool, topic []byte) {
	if x, ok := e.peer.s.pat.(publisherSide); ok {
		x.subscription(e.peer, add, topic)
	}
}

// Drain does nothing: what the peer sent has arrived.
func (e *inprocEngine) Drain() bool { return false }

// Close ends the pipe of the peer. What it has not received stays there.
func (e *inprocEngine) Close(error) { e.peer.end(false) }

// Remote returns "": the peer has no address.
func (e *inprocEngine) Remote() string { return "" }

// addHWM returns the high-water mark of a queue between two sockets of one
// process: the sum of both marks, or no limit if one has none.
func addHWM(send, recv int) int {
	if send == 0 || recv == 0 {
		return 0
	}
	return send + recv
}

func (s *core) bindInproc(e *Endpoint) (*Endpoint, error) {
	name := e.at.Address
	c := s.ctx
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return nil, ErrTerminated
	}
	if c.inproc[name] != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %s", ErrAddressInUse, e.addr)
	}
	if err := s.endpoints.add(e, &s.wg); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	defer s.wg.Done()
	c.inproc[name] = e
	waiting := c.waiting[name]
	delete(c.waiting, name)
	c.mu.Unlock()
	s.emit(event.Event{Type: event.Listening, Endpoint: e.addr})
	for _, p := range waiting {
		join(p, e)
	}
	return e, nil
}

func (s *core) connectInproc(e *Endpoint) (*Endpoint, error) {
	name := e.at.Address
	p := e.connectPipe(e.o.RecvHWM, e.o.SendHWM)
	if err := s.endpoints.add(e, &s.wg); err != nil {
		return nil, err
	}
	defer s.wg.Done()
	if err := e.attach(p); err != nil {
		s.endpoints.remove(e)
		return nil, err
	}
	c := s.ctx
	c.mu.Lock()
	if s.endpoints.isClosing() { // and may have withdrawn the connection already
		c.mu.Unlock()
		p.end(true)
		return nil, ErrClosed
	}
	to := c.inproc[name]
	if to == nil {
		c.waiting[name] = append(c.waiting[name], p)
	}
	c.mu.Unlock()
	if to != nil {
		join(p, to)
	}
	return e, nil
}

// leaveInproc unbinds the endpoint's name, or withdraws a connection to it.
func (e *Endpoint) leaveInproc() {
	c := e.s.ctx
	name := e.at.Address
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inproc[name] == e {
		delete(c.inproc, name)
	}
	for i, p := range c.waiting[name] {
		if p.ep == e {
			c.waiting[name] = append(c.waiting[name][:i:i], c.waiting[name][i+1:]...)
			break
		}
	}
	if len(c.waiting[name]) == 0 {
		delete(c.waiting, name)
	}
}

// join makes the connection between the pipe a, which connected, and the socket
// bound at e.
func join(a *pipe, e *Endpoint) {
	from, to := a.s.options(), e.s.options()
	a.out.SetHWM(addHWM(from.SendHWM, to.RecvHWM))
	a.in.SetHWM(addHWM(to.SendHWM, from.RecvHWM))
	a.out.LimitBytes(to.RecvBytes) // that of a.in was set with a
	a.updateStep()
	b := newPipe(e.s, e, a.out, a.in)
	if e.s.typ == zmtp.SUB && e.o.ConflateTopics {
		b.in.Conflate(true)
	}
	b.id = from.Identity
	a.info.Store(&PeerInfo{SocketType: e.s.typ.String(), RoutingID: to.Identity})
	b.info.Store(&PeerInfo{SocketType: a.s.typ.String(), RoutingID: from.Identity})
	b.plug(&inprocEngine{peer: a})
	a.plug(&inprocEngine{peer: b})
	a.s.setLocal()
	e.s.setLocal()
	err := e.attach(b)
	if err != nil || a.over.Load() {
		if errors.Is(err, errDuplicateID) {
			e.s.emit(event.Event{Type: event.DuplicateID, Endpoint: e.addr, Err: err})
		}
		b.end(true)
		a.end(false)
		return
	}
	if err := a.s.identify(a, to.Identity); err != nil {
		a.s.emit(event.Event{Type: event.DuplicateID, Endpoint: a.ep.addr, Err: err})
		a.end(true)
		return
	}
	a.s.connected(a)
	e.s.connected(b)
	a.s.writable(a)
	a.s.readable(a)
	e.s.readable(b)
	if e.s.endpoints.isClosing() {
		b.end(true)
	}
	if a.finishing.Load() {
		a.setFlushed() // it was closed before the name was bound
	}
}
