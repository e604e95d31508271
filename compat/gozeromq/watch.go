package zmq4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// watch starts the goroutine that reads the events of the socket, once.
func (s *socket) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching {
		return
	}
	s.watching = true
	events := s.z.Events(context.Background()) // ends with the socket
	s.wg.Go(func() {
		for e := range events {
			s.happened(e)
		}
	})
}

// happened follows the connections of the socket.
func (s *socket) happened(e event.Event) {
	if e.Lost > 0 {
		s.peers.recount(s.z.Stats().Peers)
	}
	switch e.Type {
	case event.HandshakeSucceeded:
		s.peers.ready(e)
	case event.HandshakeFailed, event.HandshakeProtocol, event.HandshakeAuth, event.DuplicateID:
		err := s.handshakeError(e)
		if s.log != nil {
			s.log.Printf("could not open a ZMTP connection with %q: %v", e.Remote, err)
		}
		s.peers.failed(e, err)
	case event.Disconnected, event.Closed:
		if closed := s.peers.ended(e); closed != nil {
			closed.Close()
			s.drop(strings.TrimPrefix(e.Endpoint, "ipc://"))
		}
	}
}

// handshakeError is the error of Dial for a handshake that failed.
func (s *socket) handshakeError(e event.Event) error {
	const initialize = "zmq4: could not initialize ZMTP connection"
	if e.Type == event.HandshakeProtocol && e.Err != nil {
		// The other side is of a type that this one does not talk to.
		if _, after, ok := strings.Cut(e.Err.Error(), "cannot talk to a peer of type \""); ok {
			if peer, _, ok := strings.Cut(after, `"`); ok {
				return fmt.Errorf("%s: zmq4: peer=%q not compatible with %q", initialize, peer, s.typ)
			}
		}
	}
	if e.Err != nil {
		return fmt.Errorf("%s: %w", initialize, e.Err)
	}
	return fmt.Errorf("%s: %s", initialize, e.Type)
}

// conn names a connection in events. Connections that have no address of
// their peer, such as those of unix sockets, share a name and are counted.
type conn struct{ endpoint, remote string }

// peerState follows the connections of a socket.
type peerState struct {
	s *socket

	// What a blocked Recv waits with: it is done when a connection was lost.
	lossy atomic.Pointer[signal]
	// What a blocked Send waits with: it is done when there are no connections
	// and none can come.
	alive atomic.Pointer[signal]
	// A REQ waits for its reply.
	asked atomic.Bool

	mu sync.Mutex
	// The fields below are protected by mu.
	conns    map[conn]int // whose handshake is complete
	failing  map[conn]int // whose handshake failed, until they end
	live     int          // sum of conns
	met      bool         // there was a connection
	lost     bool         // there was a loss since the last io.EOF
	listens  bool
	dialling map[string]chan error
	open     map[string]*zmq.Endpoint // that were dialled
}

// signal is a context that ends with the socket or when it is raised.
type signal struct {
	ctx   context.Context
	raise context.CancelFunc
}

func newSignal(parent context.Context) *signal {
	ctx, raise := context.WithCancel(parent)
	return &signal{ctx, raise}
}

func (p *peerState) init(s *socket) {
	p.s = s
	p.conns, p.failing = make(map[conn]int), make(map[conn]int)
	p.dialling, p.open = make(map[string]chan error), make(map[string]*zmq.Endpoint)
	p.lossy.Store(newSignal(s.ctx))
	p.alive.Store(newSignal(s.ctx))
	p.mu.Lock()
	p.update()
	p.mu.Unlock()
}

// update raises or renews alive. The lock is held.
func (p *peerState) update() {
	dead := !p.s.reconnect && p.live == 0 && (p.s.typ == Req || p.met && !p.listens)
	a := p.alive.Load()
	switch raised := a.ctx.Err() != nil; {
	case dead && !raised:
		a.raise()
	case !dead && raised:
		p.alive.Store(newSignal(p.s.ctx))
	}
}

func (p *peerState) listening() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listens = true
	p.update()
}

// expect returns a channel that gets the result of the first handshake of an
// endpoint.
func (p *peerState) expect(endpoint string) <-chan error {
	done := make(chan error, 1)
	p.mu.Lock()
	p.dialling[endpoint] = done
	p.mu.Unlock()
	return done
}

func (p *peerState) forget(endpoint string) {
	p.mu.Lock()
	delete(p.dialling, endpoint)
	p.mu.Unlock()
}

// connect connects the socket below. The lock is held meanwhile, so that the
// endpoint is known before the first event of its connection is handled.
func (p *peerState) connect(endpoint string) (*zmq.Endpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.s.z.Connect(endpoint)
	if err == nil {
		p.open[endpoint] = e
	}
	return e, err
}

// finish tells Dial the result of a handshake. The lock is held.
func (p *peerState) finish(endpoint string, err error) {
	if done := p.dialling[endpoint]; done != nil {
		done <- err
		delete(p.dialling, endpoint)
	}
}

func (p *peerState) ready(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn{e.Endpoint, e.Remote}]++
	p.live++
	p.met = true
	p.update()
	p.finish(e.Endpoint, nil)
}

func (p *peerState) failed(e event.Event, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing[conn{e.Endpoint, e.Remote}]++
	p.finish(e.Endpoint, err)
}

// ended notes the end of a connection. It returns the endpoint that is to be
// closed, if there is one.
func (p *peerState) ended(e event.Event) (closed *zmq.Endpoint) {
	c := conn{e.Endpoint, e.Remote}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.failing[c] > 0:
		remove(p.failing, c)
	case p.conns[c] > 0:
		remove(p.conns, c)
		p.live--
		p.update()
		if e.Type == event.Disconnected {
			p.loss()
		}
	}
	err := e.Err
	if err == nil {
		err = io.EOF
	}
	p.finish(e.Endpoint, err)
	if closed = p.open[e.Endpoint]; closed != nil && !p.s.reconnect {
		delete(p.open, e.Endpoint)
		return closed
	}
	return nil
}

func remove(m map[conn]int, c conn) {
	if m[c]--; m[c] == 0 {
		delete(m, c)
	}
}

// recount counts the connections anew, after events were lost.
func (p *peerState) recount(peers []zmq.PeerStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.live
	clear(p.conns)
	clear(p.failing)
	p.live = 0
	for _, q := range peers {
		if q.Connected {
			p.conns[conn{q.Endpoint, q.Remote}]++
			p.live++
			p.met = true
			p.finish(q.Endpoint, nil)
		}
	}
	if p.live < before {
		p.loss()
	}
	p.update()
}

// loss makes the next Recv that would wait return io.EOF, where the socket type
// does so. The lock is held.
func (p *peerState) loss() {
	switch p.s.typ {
	case Pub, XPub, Push, Router, Rep:
		return
	case Req:
		if !p.asked.Load() {
			return
		}
	}
	if !p.s.reconnect {
		p.lost = true
		p.lossy.Load().raise()
	}
}

// takeLoss reports whether there was a loss since the last call.
func (p *peerState) takeLoss() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lost {
		return false
	}
	p.lost = false
	p.lossy.Store(newSignal(p.s.ctx))
	return true
}

// gone reports whether there are no connections and none can come.
func (p *peerState) gone() bool { return p.alive.Load().ctx.Err() != nil }

// reason is the error of a call for an error of the socket below.
func (s *socket) reason(err error) error {
	switch {
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case errors.Is(err, zmq.ErrClosed), errors.Is(err, zmq.ErrTerminated):
		return context.Canceled
	case errors.Is(err, zmq.ErrWouldBlock):
		return context.DeadlineExceeded
	}
	return err
}
