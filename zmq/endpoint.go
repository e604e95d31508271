package zmq

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/transport"
)

// Endpoint is where a socket is bound or connected to.
type Endpoint struct {
	s       *core
	given   string
	at      transport.Endpoint
	addr    string
	bound   bool
	o       Options // as they were at Bind or Connect
	stop    context.CancelFunc
	live    context.Context // done when the endpoint is to end
	ln      net.Listener
	opened  atomic.Pointer[net.Conn] // of datagrams, until the session takes it over
	filters []netip.Prefix

	mu sync.Mutex
	// The fields below are protected by mu.
	pipes map[*pipe]struct{}
}

// Addr is the endpoint's address; the port or path that Bind chose is filled
// in.
func (e *Endpoint) Addr() string { return e.addr }

// String is Addr.
func (e *Endpoint) String() string { return e.addr }

// Close unbinds or disconnects. Its connections are closed once the messages
// queued for them have left, at most after the linger time; those that
// arrived can still be received. Close does not wait for that.
func (e *Endpoint) Close() error { return e.s.endEndpoint(e) }

// Unbind closes the endpoint bound with this address, as Endpoint.Addr
// returned it.
func (s common) Unbind(addr string) error { return s.c.endByAddr(addr, true) }

// Disconnect closes the endpoint connected to with this address.
func (s common) Disconnect(addr string) error { return s.c.endByAddr(addr, false) }

// LastEndpoint is the address of the last Bind or Connect.
func (s common) LastEndpoint() string {
	s.c.endpoints.Lock()
	defer s.c.endpoints.Unlock()
	return s.c.last
}

func (s *core) newEndpoint(given string, at transport.Endpoint, bound bool) *Endpoint {
	e := &Endpoint{s: s, given: given, at: at, addr: given, bound: bound, o: s.options(), pipes: make(map[*pipe]struct{})}
	e.live, e.stop = context.WithCancel(context.Background())
	return e
}

// admit adds a new endpoint to the socket.
func (s *core) admit(e *Endpoint) error {
	s.endpoints.Lock()
	defer s.endpoints.Unlock()
	if s.closing {
		return ErrClosed
	}
	s.eps[e] = struct{}{}
	s.last = e.addr
	return nil
}

func (s *core) forgetEndpoint(e *Endpoint) {
	s.endpoints.Lock()
	delete(s.eps, e)
	s.endpoints.Unlock()
}

func (s *core) alive() error {
	s.send.Lock()
	defer s.send.Unlock()
	return s.failed
}

func (s *core) bind(given string) (*Endpoint, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	at, err := transport.Parse(given, true)
	if err != nil {
		return nil, fmt.Errorf("zmq: bind: %w", err)
	}
	if err := s.typ.carries(at.Scheme, true); err != nil {
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

// singleConnect tells the types for which a second connection to the same
// endpoint is none.
func (t Type) singleConnect() bool {
	return t == TypeDealer || t == TypeSub || t == TypePub || t == TypeReq
}

func (s *core) connect(given string) (*Endpoint, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	at, err := transport.Parse(given, false)
	if err != nil {
		return nil, fmt.Errorf("zmq: connect: %w", err)
	}
	if err := s.typ.carries(at.Scheme, false); err != nil {
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
	if s.typ.singleConnect() {
		s.endpoints.Lock()
		for old := range s.eps {
			if !old.bound && old.given == given {
				s.endpoints.Unlock()
				e.stop()
				return old, nil
			}
		}
		s.endpoints.Unlock()
	}
	return s.connectNet(e)
}

func (s *core) endByAddr(addr string, bound bool) error {
	s.endpoints.Lock()
	var found *Endpoint
	for e := range s.eps {
		if e.bound == bound && e.addr == addr {
			found = e
			break
		}
	}
	s.endpoints.Unlock()
	if found == nil {
		return fmt.Errorf("%w: %s", ErrNoEndpoint, addr)
	}
	return s.endEndpoint(found)
}

// connectPipe makes the pipe of a connection that may not exist yet.
func (e *Endpoint) connectPipe(hwmIn, hwmOut int) *pipe {
	p := newPipe(e.s, e, flow.NewQueue(hwmIn, e.conflates()), flow.NewQueue(hwmOut, e.conflates()))
	if e.s.typ == TypeSub && e.o.ConflateTopics {
		p.in.ConflateTopics()
	}
	if len(e.o.ConnectRoutingID) > 0 {
		p.id, p.named = e.o.ConnectRoutingID, true
	}
	return p
}

// conflates tells whether the option applies to the socket's type.
func (e *Endpoint) conflates() bool {
	switch e.s.typ {
	case TypeDealer, TypePull, TypePush, TypePub, TypeSub:
		return e.o.Conflate
	}
	return false
}

func (e *Endpoint) add(p *pipe) {
	e.mu.Lock()
	e.pipes[p] = struct{}{}
	e.mu.Unlock()
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
