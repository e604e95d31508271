package memcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultPort is what a server without a port listens on.
const DefaultPort = 11211

// maxWeight bounds a weight, and so the lists that placements make of it.
const maxWeight = 1000

// Server is one member of a fleet as placements see it.
type Server struct {
	// Host and Port are the TCP address as configured, Host being a name or an IP.
	Host string
	Port int
	// Path is set instead for a unix socket.
	Path string
	// Weight is the relative share of keys, 1 or more.
	Weight int
	// Name is the alias given in the configuration, or "". Placements that
	// hash names use it instead of the address, so that a server may move.
	Name string
}

// Addr is "host:port", or the path of the unix socket.
func (s Server) Addr() string {
	if s.Path != "" {
		return s.Path
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// String is the form that ParseServer takes.
func (s Server) String() string {
	out := s.Addr()
	if s.Weight != 1 {
		out += ":" + strconv.Itoa(s.Weight)
	}
	if s.Name != "" {
		out += "=" + s.Name
	}
	return out
}

// stable is what our own placement hashes.
func (s Server) stable() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Addr()
}

// ParseServer reads "host[:port[:weight]][=name]", where an IPv6 host stands in
// brackets, or a unix socket as "/path[:weight][=name]", with or without "unix:"
// before it. A weight is 1 to 1000.
func ParseServer(spec string) (Server, error) {
	s := Server{Port: DefaultPort, Weight: 1}
	bad := func(why string) (Server, error) {
		return Server{}, fmt.Errorf("memcache: server %q: %s, expected host:port[:weight][=name] or /path[:weight][=name]", spec, why)
	}
	addr := spec
	if i := strings.IndexByte(addr, '='); i >= 0 {
		addr, s.Name = addr[:i], addr[i+1:]
		if s.Name == "" {
			return bad("empty name")
		}
	}
	if p, ok := strings.CutPrefix(addr, "unix:"); ok || strings.HasPrefix(addr, "/") {
		if ok {
			addr = p
		}
		path, weight, weighted := strings.Cut(addr, ":")
		if path == "" {
			return bad("empty path")
		}
		if weighted && !s.weigh(weight) {
			return bad("weight " + strconv.Quote(weight) + " is not 1 to 1000")
		}
		s.Path, s.Port = path, 0
		return s, nil
	}
	var rest string
	if strings.HasPrefix(addr, "[") {
		i := strings.IndexByte(addr, ']')
		if i < 0 {
			return bad("no closing bracket")
		}
		s.Host, rest = addr[1:i], addr[i+1:]
		if rest != "" && rest[0] != ':' {
			return bad("no colon after the bracket")
		}
		rest = strings.TrimPrefix(rest, ":")
	} else {
		var colon bool
		if s.Host, rest, colon = strings.Cut(addr, ":"); colon && rest == "" {
			return bad("no port after the colon")
		}
	}
	if s.Host == "" {
		return bad("no host")
	}
	if rest == "" {
		return s, nil
	}
	port, weight, weighted := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return bad("port " + strconv.Quote(port) + " is not 1 to 65535")
	}
	s.Port = int(n)
	if weighted && !s.weigh(weight) {
		return bad("weight " + strconv.Quote(weight) + " is not 1 to 1000")
	}
	return s, nil
}

// weigh is false for a text that is no weight.
func (s *Server) weigh(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	s.Weight = int(n)
	return err == nil && n > 0 && n <= maxWeight
}

// server is the client's side of one server: its connections and its breaker.
type server struct {
	Server
	addr    string
	name    string // Addr, what errors and Servers show
	opts    *Options
	ctx     context.Context // ends with the client
	wg      *sync.WaitGroup
	slots   []atomic.Pointer[conn]
	turn    atomic.Uint32
	classic atomic.Bool // learned: no meta commands there

	mu      sync.Mutex // protects what follows
	breaker breaker
	attempt *attempt
	retired bool
}

// attempt is one dial, which any number of callers may wait for.
type attempt struct {
	done  chan struct{}
	err   error
	probe bool // of a server that failed before: only its starter waits
}

func newServer(spec Server, o *Options, ctx context.Context, wg *sync.WaitGroup) *server {
	s := &server{Server: spec, addr: spec.Addr(), opts: o, ctx: ctx, wg: wg}
	s.name = s.addr
	s.slots = make([]atomic.Pointer[conn], o.Conns)
	s.breaker = breaker{min: o.BackoffMin, max: o.BackoffMax}
	s.classic.Store(o.Protocol == ProtocolClassic)
	return s
}

// wrap names the server in err.
func (s *server) wrap(err error) error {
	var named *ServerError
	if errors.As(err, &named) {
		return err
	}
	return &ServerError{Server: s.name, Err: err}
}

// ready returns a live connection, or nil.
func (s *server) ready() *conn {
	if len(s.slots) == 1 {
		return s.slots[0].Load()
	}
	n := uint32(len(s.slots))
	turn := s.turn.Add(1)
	for i := range n {
		if c := s.slots[(turn+i)%n].Load(); c != nil {
			if i > 0 {
				s.dialAhead()
			}
			return c
		}
	}
	return nil
}

// dialAhead fills an empty slot while others carry the load.
func (s *server) dialAhead() {
	if s.mu.TryLock() {
		s.startDial(time.Now())
		s.mu.Unlock()
	}
}

// acquire returns a connection, dialing if there is none. mine is an attempt
// that the caller started, or nil.
func (s *server) acquire(ctx context.Context, mine *attempt) (*conn, error) {
	for {
		if c := s.ready(); c != nil {
			return c, nil
		}
		s.mu.Lock()
		running := s.attempt
		a, err := s.startDial(time.Now())
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		if a.probe && a == running && a != mine {
			return nil, s.downError()
		}
		if err := s.await(ctx, a.done, ErrTimeout, "no connection"); err != nil {
			return nil, err
		}
		if a.err != nil {
			return nil, a.err
		}
	}
}

// await waits for done under ctx and QueueTimeout.
func (s *server) await(ctx context.Context, done <-chan struct{}, late error, why string) error {
	t := time.NewTimer(s.opts.QueueTimeout)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return fmt.Errorf("%w: %s after %v", late, why, s.opts.QueueTimeout)
	}
}

// startDial returns the attempt that is running, starting one if it may. Both
// results are nil when every slot is filled. s.mu is held.
func (s *server) startDial(now time.Time) (*attempt, error) {
	if s.retired {
		return nil, errUnsent
	}
	if s.attempt != nil {
		return s.attempt, nil
	}
	slot := -1
	for i := range s.slots {
		if s.slots[i].Load() == nil {
			slot = i
			break
		}
	}
	if slot < 0 {
		return nil, nil
	}
	if err := s.breaker.check(now); err != nil {
		return nil, err
	}
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	a := &attempt{done: make(chan struct{}), probe: s.breaker.open.Load()}
	s.attempt = a
	s.wg.Go(func() { s.runDial(a, slot) })
	return a, nil
}

func (s *server) runDial(a *attempt, slot int) {
	start := time.Now()
	c, err := s.dial(s.ctx)
	if h := s.opts.Hooks.Dialed; h != nil {
		h(s.name, time.Since(start), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempt = nil
	switch {
	case err != nil:
		a.err = s.wrap(err)
		s.breaker.failed(time.Now(), err)
	case s.retired || s.ctx.Err() != nil:
		a.err = errUnsent
		go c.fail(ErrClosed)
	default:
		s.breaker.open.Store(false)
		s.slots[slot].Store(c)
	}
	close(a.done)
}

func (s *server) downError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.cause
}

// down is told by a connection's reader that it ended.
func (s *server) down(c *conn, err error) {
	s.drop(c)
	if h := s.opts.Hooks.Down; h != nil {
		h(s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.answered.Load() {
		s.breaker.failures = 0
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrProtocol) {
		s.breaker.failed(time.Now(), err)
	}
	if err == errDowngrade {
		s.classic.Store(true)
	}
}

// drop takes c out of use.
func (s *server) drop(c *conn) {
	for i := range s.slots {
		s.slots[i].CompareAndSwap(c, nil)
	}
}

// dead tells whether the breaker keeps callers away.
func (s *server) dead() bool {
	if !s.breaker.open.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempt != nil || s.breaker.check(time.Now()) != nil
}

// submit puts cl on a connection.
func (s *server) submit(ctx context.Context, cl *call, mine *attempt) error {
	for {
		c, err := s.acquire(ctx, mine)
		if err != nil {
			return err
		}
		if cl.encoded && !c.meta {
			return fmt.Errorf("%w: the server has no meta commands", ErrMalformedKey)
		}
		space, err := c.send(cl)
		switch err {
		case nil:
			return nil
		case errUnsent:
			s.drop(c)
		default:
			if err := s.await(ctx, space, ErrBusy, "no room in the queue"); err != nil {
				return err
			}
		}
	}
}

// maxResend bounds how often a request that never left is queued again.
const maxResend = 3

// finish waits for the reply to a submitted call, sending it again where that
// is safe.
func (s *server) finish(ctx context.Context, cl *call) error {
	for try := 0; ; try++ {
		if !cl.conn.wait(ctx, cl) {
			return ctx.Err()
		}
		err := cl.err
		if err == nil || err == ErrCacheMiss {
			return err
		}
		again := false
		switch {
		case errors.Is(err, ErrConnLost):
			again = !cl.sent && try < maxResend || cl.idempotent() && try == 0
		case err == errUnsent:
			again = try < maxResend
		case err == errDowngrade:
			// The reply that lacked its opaque was to a read; what was
			// queued behind it may have been carried out.
			again = !cl.sent || cl.idempotent() || cl.op == opLease
			err = ErrConnLost
		}
		if !again {
			return err
		}
		if err := s.submit(ctx, cl, nil); err != nil {
			return err
		}
	}
}

// roundTrip sends cl and waits for its reply.
func (s *server) roundTrip(ctx context.Context, cl *call) error {
	var start time.Time
	hook := s.opts.Hooks.Done != nil
	if hook {
		start = time.Now()
	}
	err := s.submit(ctx, cl, nil)
	if err == nil {
		err = s.finish(ctx, cl)
	}
	if err != nil {
		err = s.answer(err)
	}
	if hook {
		cl.report(ctx, &s.opts.Hooks, s.name, start, err)
	}
	return err
}

// answer leaves answers about the item bare and names the server in the rest.
func (s *server) answer(err error) error {
	switch err {
	case nil, ErrCacheMiss, ErrNotStored, ErrCASConflict, ErrNotNumber, ErrTooLarge, errUnsent, ErrClosed,
		context.Canceled, context.DeadlineExceeded:
		return err
	}
	return s.wrap(err)
}

// retire drains every connection; the server takes no further requests.
func (s *server) retire() {
	s.mu.Lock()
	s.retired = true
	s.mu.Unlock()
	for i := range s.slots {
		if c := s.slots[i].Swap(nil); c != nil {
			c.drain()
		}
	}
}

// close breaks every connection.
func (s *server) close() {
	s.mu.Lock()
	s.retired = true
	s.mu.Unlock()
	for i := range s.slots {
		if c := s.slots[i].Swap(nil); c != nil {
			c.fail(ErrClosed)
		}
	}
}
