package zmq

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// establish runs the handshake of a link and reports how it went.
func (l *link) establish() ([]byte, error) {
	if l.s.typ == zmtp.STREAM || l.s.typ == zmtp.ROUTER && l.ep.o.RouterRaw {
		l.stream = true
		return nil, nil
	}
	rest, err := l.handshake()
	if err == nil {
		l.event(event.HandshakeSucceeded, nil)
		return rest, nil
	}
	l.s.counter.handshakesFailed.Add(1)
	e := event.Event{Type: event.HandshakeFailed, Endpoint: l.ep.addr, Local: l.local, Remote: l.remote, Err: err}
	var protocol *zmtp.Error
	var auth *authError
	var peer *zmtp.PeerError
	switch {
	case errors.As(err, &protocol):
		e.Type, e.Status = event.HandshakeProtocol, uint32(protocol.Code)
	case errors.As(err, &auth):
		e.Type, e.Status = event.HandshakeAuth, auth.status
	case errors.As(err, &peer):
		e.Type, e.Status = event.HandshakeAuth, statusOf(peer.Reason)
	}
	l.close(err)
	l.s.emit(e)
	return nil, err
}

// statusOf reads the ZAP status that a peer gives as its reason.
func statusOf(reason string) uint32 {
	switch reason {
	case "300":
		return 300
	case "400":
		return 400
	case "500":
		return 500
	}
	return 0
}

// ended reports the end of an established link.
func (l *link) ended(err error) {
	if errors.Is(err, errPipeEnded) {
		l.event(event.Closed, nil)
	} else {
		l.event(event.Disconnected, err)
	}
}

// hungUp tells whether the user of a STREAM or raw ROUTER closed the connection: whoever does
// that is not told of it.
func (l *link) hungUp(err error) bool { return l.stream && errors.Is(err, errPipeEnded) }

// newNetPipe makes the pipe of a connection that exists.
func (e *Endpoint) newNetPipe() *pipe {
	p := e.connectPipe(e.o.RecvHWM, e.o.SendHWM)
	p.out.UseBlocks()
	return p
}

// serve is the life of an accepted connection.
func (e *Endpoint) serve(conn net.Conn) {
	l := newLink(e.s, e, conn)
	stop := context.AfterFunc(e.live, func() { l.close(errPipeEnded) })
	defer stop()
	rest, err := l.establish()
	if err != nil {
		return
	}
	p := e.newNetPipe()
	p.id = l.peer.identity
	if err := e.s.attachLink(l, p); err != nil {
		return
	}
	err = l.carry(rest)
	if !l.hungUp(err) {
		e.s.lost(p, true)
	}
	p.end(false)
	l.ended(err)
}

// attachLink attaches the pipe of an accepted connection, or closes it.
func (s *core) attachLink(l *link, p *pipe) error {
	l.p = p
	p.ep.add(p)
	err := s.attach(p)
	if err == nil {
		return nil
	}
	p.ep.remove(p)
	if errors.Is(err, errDuplicateID) {
		l.event(event.DuplicateID, err)
	}
	l.close(err)
	l.event(event.Closed, err)
	return err
}

// lost does what is due when the connection of p is gone, for good or not.
func (s *core) lost(p *pipe, forGood bool) {
	o := &p.ep.o
	var m []byte
	if forGood {
		// Whoever hears that the peer is gone finds it gone.
		if f, ok := s.pat.(unrouter); ok {
			s.lockBoth()
			f.unroute(p)
			s.unlockBoth()
		}
		switch s.typ {
		case zmtp.ROUTER, zmtp.SERVER, zmtp.PEER:
			m = o.DisconnectMsg
		}
	} else {
		if h, ok := s.pat.(connectedHook); ok {
			h.lost(p)
		}
		switch s.typ {
		case zmtp.DEALER, zmtp.CLIENT, zmtp.PEER:
			m = o.HiccupMsg
		}
	}
	if len(m) > 0 {
		p.deliver(m)
	}
	if s.notifies(o, notifyDisconnect) {
		p.deliver(nil)
	}
}

// deliver puts a message of one frame among those that arrived.
func (p *pipe) deliver(m []byte) {
	var b flow.Batch
	b.Message(&flow.Message{One: m})
	if r, _ := p.in.Push(b); r == flow.Wake {
		p.s.readable(p)
	}
}

// session is the life of a connected endpoint: it connects, again and again.
func (e *Endpoint) session(p *pipe) {
	s := e.s
	wait := e.o.Reconnect
	defer func() {
		if p != nil {
			p.end(false)
		}
	}()
	for again := false; e.live.Err() == nil; again = true {
		if again {
			d := e.backoff(&wait)
			if d < 0 {
				return
			}
			s.emit(event.Event{Type: event.ConnectRetried, Endpoint: e.addr, Interval: d})
			if !e.sleep(d) {
				return
			}
		}
		s.emit(event.Event{Type: event.ConnectDelayed, Endpoint: e.addr})
		conn, err := e.dial()
		if err != nil {
			s.emit(event.Event{Type: event.Closed, Endpoint: e.addr, Err: err})
			if e.o.Stop&stopOnRefused != 0 && errors.Is(err, syscall.ECONNREFUSED) {
				return
			}
			continue
		}
		l := newLink(s, e, conn)
		l.event(event.Connected, nil)
		stop := context.AfterFunc(e.live, func() { l.close(errPipeEnded) })
		established, err := e.oneConnection(l, p)
		stop()
		if established {
			wait = e.o.Reconnect
			if p != nil {
				p.stats.reconnects.Add(1)
			} else {
				s.counter.reconnects.Add(1)
			}
			if e.o.Stop&stopAfterDisconnect != 0 {
				return
			}
		} else if e.o.Stop&stopOnHandshakeFailed != 0 {
			return
		}
		if l.hungUp(err) || p != nil && p.over.Load() || errors.Is(err, errDuplicateID) && p != nil {
			return
		}
	}
}

// oneConnection runs a connection that was made, from handshake to end. Its
// pipe is p, or one of its own if that is nil.
func (e *Endpoint) oneConnection(l *link, p *pipe) (established bool, err error) {
	s := e.s
	rest, err := l.establish()
	if err != nil {
		return false, err
	}
	own := p == nil
	if own {
		p = e.newNetPipe()
		p.id = l.peer.identity
		if err := s.attachLink(l, p); err != nil {
			return true, err
		}
	} else {
		l.p = p
		if err := s.identify(p, l.peer.identity); err != nil {
			l.event(event.DuplicateID, err)
			l.close(err)
			return true, err
		}
	}
	err = l.carry(rest)
	if !l.hungUp(err) {
		s.lost(p, own)
	}
	if own {
		p.end(false)
	}
	l.ended(err)
	return true, err
}

// backoff is the time to wait before the next attempt, negative for never.
func (e *Endpoint) backoff(wait *time.Duration) time.Duration {
	first, most := e.o.Reconnect, e.o.ReconnectMax
	if first <= 0 {
		return -1
	}
	if most <= 0 {
		return first + rand.N(first)
	}
	d := *wait
	*wait = min(2*d, max(most, first))
	return d
}

// sleep waits for d; it reports false when the endpoint ends meanwhile.
func (e *Endpoint) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.live.Done():
		return false
	}
}

// notifies tells whether the application gets an empty message when a peer
// comes or goes.
func (s *core) notifies(o *options, what int) bool {
	switch s.typ {
	case zmtp.ROUTER:
		return o.RouterRaw || o.RouterNotify&what != 0
	case zmtp.STREAM:
		return o.StreamNotify
	}
	return false
}
