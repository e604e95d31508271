package zmq

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
	"lintel.dev/internal/zmq/zmtp"
)

// Endpoint is an address to which a socket is bound or connected.
type Endpoint struct {
	s       *core
	given   string
	at      transport.Endpoint
	addr    string
	bound   bool
	o       options // as they were at Bind or Connect
	stop    context.CancelFunc
	live    context.Context // done when the endpoint is to end
	ln      transport.Listener
	opened  atomic.Pointer[session] // of datagrams, until reconnect takes it over
	ended   atomic.Bool             // it will not connect again
	filters []netip.Prefix

	mu sync.Mutex
	// The fields below are protected by mu.
	pipes    map[*pipe]struct{}
	retired  bool          // it gets no more pipes
	draining bool          // Drain was called: no handshake begins
	shaking  int           // handshakes that have begun and not ended
	shaken   chan struct{} // closed when shaking is 0 again; nil if nothing waits
}

// Addr returns the endpoint's address, with the port or path that Bind chose.
// Peers can connect to it.
func (e *Endpoint) Addr() string { return e.addr }

// String returns Addr.
func (e *Endpoint) String() string { return e.addr }

// Close unbinds or disconnects the endpoint and returns at once. Its
// connections end when the messages queued for them are sent, or after the
// linger time. Messages that arrived before can still be received. It returns
// ErrNoEndpoint if the endpoint or the socket is closed already.
func (e *Endpoint) Close() error { return e.s.endEndpoint(e) }

// RoutingID returns the routing id under which the socket knows the peer of an
// endpoint that it connected to, as it stands in front of messages. It returns
// nil for a bound endpoint, for a socket type that does not route by id, and
// for a peer whose id is not known yet. A STREAM, SERVER or PEER knows it at
// once, except with the option immediate.
func (e *Endpoint) RoutingID() []byte {
	if _, ok := e.s.pat.(interface{ lookup(id []byte) *pipe }); !ok || e.bound {
		return nil
	}
	e.s.lockBoth()
	defer e.s.unlockBoth()
	for p := range e.s.pipes {
		if p.ep == e {
			return slices.Clone(p.id)
		}
	}
	return nil
}

func (s *core) newEndpoint(given string, at transport.Endpoint, bound bool) *Endpoint {
	e := &Endpoint{s: s, given: given, at: at, addr: given, bound: bound, o: s.options(), pipes: make(map[*pipe]struct{})}
	e.live, e.stop = context.WithCancel(context.Background())
	return e
}

func (s *core) alive() error {
	s.send.Lock()
	defer s.send.Unlock()
	return s.send.err
}

// badEndpoint is the error of an endpoint that cannot be parsed.
func badEndpoint(call string, err error) error {
	switch {
	case errors.Is(err, transport.ErrUnknown):
		return fmt.Errorf("%w: %w", ErrUnknownTransport, err)
	case errors.Is(err, transport.ErrPathTooLong):
		return fmt.Errorf("%w: %w", ErrPathTooLong, err)
	}
	return fmt.Errorf("zmq: %s: %w", call, err)
}

func (s *core) bind(given string) (*Endpoint, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	at, err := transport.Parse(given, true)
	if err != nil {
		return nil, badEndpoint("bind", err)
	}
	if err := carries(s.typ, at.Scheme, true); err != nil {
		return nil, err
	}
	e := s.newEndpoint(given, at, true)
	if err := e.secures(); err != nil {
		e.stop()
		return nil, err
	}
	if at.Scheme == "inproc" {
		return s.bindInproc(e)
	}
	return s.bindNet(e)
}

// singleConnect reports whether a second Connect of the socket type to the same
// endpoint does nothing, as in libzmq.
func singleConnect(t zmtp.SocketType) bool {
	return t == zmtp.DEALER || t == zmtp.SUB || t == zmtp.PUB || t == zmtp.REQ
}

func (s *core) connect(given string) (*Endpoint, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	at, err := transport.Parse(given, false)
	if err != nil {
		return nil, badEndpoint("connect", err)
	}
	if err := carries(s.typ, at.Scheme, false); err != nil {
		return nil, err
	}
	e := s.newEndpoint(given, at, false)
	if err := e.secures(); err != nil {
		e.stop()
		return nil, err
	}
	if at.Scheme == "inproc" {
		return s.connectInproc(e)
	}
	if singleConnect(s.typ) {
		if old := s.endpoints.connected(given); old != nil {
			e.stop()
			return old, nil
		}
	}
	return s.connectNet(e)
}

// connectPipe makes a pipe for a connection that need not exist yet.
func (e *Endpoint) connectPipe(hwmIn, hwmOut int) *pipe {
	p := newPipe(e.s, e, flow.NewQueue(hwmIn), flow.NewQueue(hwmOut))
	if e.s.typ == zmtp.SUB && e.o.ConflateTopics {
		p.in.Conflate(true)
	}
	if e.conflates() {
		p.in.Conflate(false)
		p.out.Conflate(false)
	}
	p.in.LimitBytes(e.o.RecvBytes)
	if len(e.o.ConnectRoutingID) > 0 {
		p.id, p.named = e.o.ConnectRoutingID, true
	}
	return p
}

// conflates reports whether the option conflate is set and the type supports it.
func (e *Endpoint) conflates() bool {
	switch e.s.typ {
	case zmtp.DEALER, zmtp.PULL, zmtp.PUSH, zmtp.PUB, zmtp.SUB:
		return e.o.Conflate
	}
	return false
}

// attach makes p a pipe of the endpoint and of the socket.
func (e *Endpoint) attach(p *pipe) error {
	e.mu.Lock()
	retired := e.retired
	if !retired {
		e.pipes[p] = struct{}{} // first, so that end finds what is sent at once
	}
	e.mu.Unlock()
	if retired {
		return ErrClosed
	}
	if err := e.s.attach(p); err != nil {
		e.remove(p)
		return err
	}
	e.mu.Lock()
	retired = e.retired
	e.mu.Unlock()
	if retired { // in the meantime; end takes care of the rest
		e.s.detach(p, false)
	}
	return nil
}

func (e *Endpoint) remove(p *pipe) {
	e.mu.Lock()
	delete(e.pipes, p)
	e.mu.Unlock()
}

func (e *Endpoint) allPipes() []*pipe {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*pipe, 0, len(e.pipes))
	for p := range e.pipes {
		all = append(all, p)
	}
	return all
}
