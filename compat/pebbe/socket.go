package zmq4

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"lintel.dev/zmq"
)

// Socket is a socket. Methods whose names start with Get or Set read or set
// options.
type Socket struct {
	s   *socket // nil: never opened
	ctx *Context
}

// socket is what a Socket refers to. Nothing that runs in the background refers
// to the Socket itself, so that it is closed when it becomes unreachable.
type socket struct {
	zmq.Socket
	in       zmq.Receiver // nil: the type does not receive
	out      zmq.Sender   // nil: the type does not send
	typ      Type
	lockstep bool // REQ or REP
	headed   bool // a zmq.Msg begins with a routing id or a group
	direct   bool // zmq's SendBytes sends a message of one part
	group    *group

	closed    atomic.Bool
	more      atomic.Bool  // unread is not empty
	partial   atomic.Bool  // unsent is not empty
	answering atomic.Bool  // a REQ waits for a reply, or a REP owes one
	relaxed   atomic.Bool  // SetReqRelaxed
	mandatory atomic.Bool  // SetRouterMandatory
	metadata  atomic.Bool  // a call asked for metadata, so it is kept with unread
	sndtimeo  atomic.Int64 // in ms, -1 without limit

	mu sync.Mutex
	// The fields below are protected by mu.
	unread    zmq.Msg // parts of a message of which the first was received
	from      map[string]string
	unsent    zmq.Msg // parts of a message of which the last is missing
	endpoints map[string][]endpoint
	secrets   map[string]string // options that cannot be read from a zmq.Socket
	affinity  uint64
	monitor   *monitor
}

type endpoint struct {
	*zmq.Endpoint
	bound bool
}

// NewSocket makes a socket. Its linger time is without limit (for SUB, XSUB and
// DISH 0) until SetLinger changes it. The socket is closed when it becomes
// unreachable.
func (ctx *Context) NewSocket(t Type) (soc *Socket, err error) {
	set, err := ctx.g.enter()
	if err != nil {
		return &Socket{}, err
	}
	s, err := newSocket(ctx.g, t, set)
	if err != nil {
		ctx.g.leave()
		return &Socket{}, errnoOf(err, einval)
	}
	soc = &Socket{s, ctx}
	runtime.AddCleanup(soc, (*socket).close, s)
	return soc, nil
}

func newSocket(g *group, t Type, set settings) (*socket, error) {
	opts := []zmq.Option{zmq.InContext(&g.z)}
	if set.ipv6 {
		opts = append(opts, zmq.WithOption("ipv6", "1"))
	}
	switch {
	case !set.blocky:
		opts = append(opts, zmq.WithLinger(0))
	case t != SUB && t != XSUB && t != dish:
		opts = append(opts, zmq.WithLinger(-1))
	}
	z, err := zmq.New(t.socketName(), opts...)
	if err != nil {
		return nil, err
	}
	s := &socket{Socket: z, typ: t, lockstep: t == REQ || t == REP, headed: t.headed(), group: g}
	s.in, _ = z.(zmq.Receiver)
	s.out, _ = z.(zmq.Sender)
	s.direct = s.out != nil && !s.lockstep && !s.headed && t != dgram
	s.sndtimeo.Store(-1)
	return s, nil
}

// opened returns the open socket.
func (soc *Socket) opened() (*socket, error) {
	if soc != nil && soc.s != nil && !soc.s.closed.Load() {
		return soc.s, nil
	}
	return nil, ErrorSocketClosed
}

// String returns the type and the routing id, or an address if there is none.
func (soc Socket) String() string {
	s, err := soc.opened()
	if err != nil {
		return "Socket(CLOSED)"
	}
	if id, err := soc.GetIdentity(); err == nil && id != "" {
		return fmt.Sprintf("Socket(%s,%q)", s.Type(), id)
	}
	return fmt.Sprintf("Socket(%s,%p)", s.Type(), s)
}

// Close closes the socket and returns at once. Blocked calls return ETERM, later
// ones ErrorSocketClosed. Queued messages are sent in the background, at most
// for the linger time; Term waits for that.
func (soc *Socket) Close() error {
	if soc != nil && soc.s != nil {
		soc.s.close()
	}
	return nil
}

func (s *socket) close() {
	if s.closed.Swap(true) {
		return
	}
	s.mu.Lock()
	endpoints, m := s.endpoints, s.monitor
	s.endpoints = nil
	s.mu.Unlock()
	for _, list := range endpoints {
		for _, e := range list {
			if e.bound {
				_ = e.Close() // now, so that the address is free; a second name of it is closed already
			}
		}
	}
	go func() {
		defer s.group.leave()
		_ = s.Socket.Close()
		if m != nil {
			m.stop()
		}
	}()
}

// Context returns the context of the socket.
func (soc *Socket) Context() (*Context, error) {
	if _, err := soc.opened(); err != nil {
		return nil, err
	}
	return soc.ctx, nil
}

// Bind listens at an endpoint. GetLastEndpoint returns the address that was
// chosen for a wildcard.
func (soc *Socket) Bind(endpoint string) error { return soc.attach(endpoint, true) }

// Connect starts to connect to an endpoint and returns at once.
func (soc *Socket) Connect(endpoint string) error { return soc.attach(endpoint, false) }

func (soc *Socket) attach(at string, bind bool) error {
	s, err := soc.opened()
	if err != nil {
		return err
	}
	connect := s.Connect
	if bind {
		connect = s.Bind
	}
	e, err := connect(at)
	if err != nil {
		return errnoOf(err, ENOCOMPATPROTO)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoints == nil {
		s.endpoints = make(map[string][]endpoint)
	}
	for _, name := range []string{at, e.Addr()} {
		s.endpoints[name] = append(s.endpoints[name], endpoint{e, bind})
		if e.Addr() == at {
			break
		}
	}
	runtime.KeepAlive(soc)
	return nil
}

// Unbind stops listening at an endpoint, named as Bind or as GetLastEndpoint has
// it. It returns ENOENT if there is no such endpoint.
func (soc *Socket) Unbind(endpoint string) error { return soc.detach(endpoint) }

// Disconnect ends all connections that Connect made to an endpoint. It returns
// ENOENT if there are none.
func (soc *Socket) Disconnect(endpoint string) error { return soc.detach(endpoint) }

func (soc *Socket) detach(at string) error {
	s, err := soc.opened()
	if err != nil {
		return err
	}
	s.mu.Lock()
	list := s.endpoints[at]
	delete(s.endpoints, at)
	s.mu.Unlock()
	switch {
	case !strings.Contains(at, "://"):
		return einval
	case !knownScheme(at):
		return EPROTONOSUPPORT
	}
	found := false
	for _, e := range list {
		found = e.Close() == nil || found // closed already under its other name
	}
	if !found {
		return enoent
	}
	return nil
}

func knownScheme(at string) bool {
	scheme, _, _ := strings.Cut(at, "://")
	switch scheme {
	case "tcp", "ipc", "inproc", "ws", "wss", "vsock", "epgm", "pgm", "udp":
		return true
	}
	return false
}

// background is the context of calls that wait as long as the options say, and
// noWait that of calls that must not.
var (
	background = context.Background()
	noWait     = func() context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}()
)

// state returns which of the wanted things the socket can do now.
func (s *socket) state(want State) State {
	var p zmq.Poller
	defer p.Close()
	if p.Set(pollItem(s, want)) != nil {
		return 0
	}
	var z State
	for _, it := range p.Poll() {
		z = stateOf(it)
	}
	return s.adjust(z) & want
}

// adjust adds what follows from the parts that wait in s to the state of its
// zmq.Socket.
func (s *socket) adjust(z State) State {
	if s.more.Load() {
		z |= POLLIN
		if s.lockstep {
			z &^= POLLOUT
		}
	}
	if s.partial.Load() {
		z |= POLLOUT
	}
	return z
}

func pollItem(s *socket, want State) zmq.PollItem {
	return zmq.PollItem{Socket: s.Socket, Recv: want&POLLIN != 0, Send: want&POLLOUT != 0}
}

func stateOf(it zmq.PollItem) (z State) {
	if it.Recv {
		z |= POLLIN
	}
	if it.Send {
		z |= POLLOUT
	}
	return z
}
