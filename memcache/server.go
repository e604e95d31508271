package memcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache/placement"
)

// server is a server of a fleet with its connections and its circuit breaker.
type server struct {
	placement.Server
	name   string // the address, for errors, hooks and Servers
	opts   *Options
	dialer *pipeline.Dialer
	ctx    context.Context // ends with the client
	wg     *sync.WaitGroup
	slots  []atomic.Pointer[pipeline.Conn]
	turn   atomic.Uint32 // round robin over slots

	mu      sync.Mutex // protects what follows
	breaker breaker
	attempt *attempt // the current attempt to connect, or nil
	retired bool     // no further requests
}

// attempt is an attempt to connect, for which any number of callers may wait.
type attempt struct {
	done chan struct{}
	err  error
	// trial: the server failed before. Only the caller that started the attempt waits
	// for it; others fail at once.
	trial bool
}

func newServer(spec placement.Server, o *Options, ctx context.Context, wg *sync.WaitGroup) *server {
	return &server{
		Server: spec, name: spec.Addr(), opts: o, dialer: o.dialer(spec), ctx: ctx, wg: wg,
		slots:   make([]atomic.Pointer[pipeline.Conn], o.Conns),
		breaker: breaker{min: o.BackoffMin, max: o.BackoffMax},
	}
}

// roundTrip sends cl and waits for its reply. It reports the request to Hooks.Done.
func (s *server) roundTrip(ctx context.Context, cl *pipeline.Call) error {
	hooks := &s.opts.Hooks
	var start time.Time
	if hooks.Done != nil {
		start = time.Now()
	}
	c, err := s.submit(ctx, cl, nil)
	if err == nil {
		switch {
		case !c.Wait(ctx, cl):
			err = ctx.Err()
		case cl.Err != nil:
			err = s.retry(ctx, cl)
		}
	}
	if cl.Op == pipeline.OpRead && (err == nil || err == ErrCacheMiss) {
		cl.Server = s.name
	}
	if err != nil {
		err = s.wrap(cl, err)
	}
	if hooks.Done != nil {
		hooks.report(ctx, cl, s.name, start, err)
	}
	return err
}

// submit sends cl on a connection and returns it. mine is an attempt to connect that
// the caller started, or nil.
func (s *server) submit(ctx context.Context, cl *pipeline.Call, mine *attempt) (*pipeline.Conn, error) {
	for tries := 0; ; {
		c := s.slots[0].Load()
		if len(s.slots) > 1 {
			c = s.ready()
		}
		if c == nil {
			var err error
			if c, err = s.connect(ctx, mine); err != nil {
				return nil, err
			}
		}
		if cl.Encoded && !c.Meta {
			return nil, fmt.Errorf("%w: the server has no meta commands, which Options.EncodeKeys needs", ErrMalformedKey)
		}
		if proof := c.Proof(cl); proof != nil {
			switch err := s.prove(ctx, c, proof); {
			case err == pipeline.ErrUnsent && tries < maxResend:
				tries++
				continue
			case err != nil:
				return nil, err
			}
		}
		space, err := c.Send(cl)
		switch err {
		case nil:
			return c, nil
		case pipeline.ErrUnsent:
			s.drop(c)
		default:
			if err := s.await(ctx, space, err); err != nil {
				return nil, err
			}
		}
	}
}

// prove sends a proof on c and waits for it. ErrUnsent means that c has ended.
func (s *server) prove(ctx context.Context, c *pipeline.Conn, proof *pipeline.Call) error {
	defer proof.Release()
	for {
		space, err := c.Send(proof)
		switch {
		case err == pipeline.ErrUnsent:
			s.drop(c)
			return err
		case err == nil && !c.Wait(ctx, proof):
			return ctx.Err()
		case err == nil:
			return c.Proven(proof)
		}
		if err := s.await(ctx, space, err); err != nil {
			return err
		}
	}
}

// maxResend is how often a request that was not sent is sent again.
const maxResend = 3

// retry returns the error of cl, which was sent and has its result, or sends cl again and
// waits for the reply where that is safe.
func (s *server) retry(ctx context.Context, cl *pipeline.Call) error {
	for try := 0; ; try++ {
		err := cl.Err
		again := false
		switch {
		case err == nil || err == ErrCacheMiss:
			return err
		case err == pipeline.ErrUnsent:
			again = try < maxResend
		case err == pipeline.ErrDowngrade:
			// The request whose reply lacked the opaque was a read. Requests behind it
			// may have been executed.
			again = !cl.Sent || cl.Idempotent() || cl.Op == pipeline.OpLease
			err = pipeline.ErrConnLost
		case errors.Is(err, pipeline.ErrConnLost):
			again = !cl.Sent && try < maxResend || cl.Idempotent() && try == 0
		}
		if !again {
			return err
		}
		c, err := s.submit(ctx, cl, nil)
		if err != nil {
			return err
		}
		if !c.Wait(ctx, cl) {
			return ctx.Err()
		}
	}
}

// wrap adds the server and the key of cl to err, unless err is an answer.
func (s *server) wrap(cl *pipeline.Call, err error) error {
	switch err {
	case nil, ErrCacheMiss, ErrNotStored, ErrCASConflict, pipeline.ErrUnsent, ErrClosed, context.Canceled, context.DeadlineExceeded:
		return err
	case ErrTooLarge:
		err = fmt.Errorf("%w: %d bytes, more than the server accepts", err, len(cl.Value))
	}
	if named, ok := errors.AsType[*Error](err); ok && named.Server != "" {
		return err
	}
	return &Error{Key: cl.Key, Server: s.name, Err: err}
}

// ready returns a live connection, or nil.
func (s *server) ready() *pipeline.Conn {
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

// dialAhead fills an empty slot while other connections carry the requests.
func (s *server) dialAhead() {
	if s.mu.TryLock() {
		_, _ = s.startDial(time.Now())
		s.mu.Unlock()
	}
}

// connect waits for a connection, starting an attempt if there is none.
func (s *server) connect(ctx context.Context, mine *attempt) (*pipeline.Conn, error) {
	for {
		if c := s.ready(); c != nil {
			return c, nil
		}
		s.mu.Lock()
		running := s.attempt
		a, err := s.startDial(time.Now())
		if a != nil && a.trial && a == running && a != mine {
			err = s.breaker.cause
		}
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		if err := s.await(ctx, a.done, errNoConn); errors.Is(err, ErrTimeout) {
			return nil, fmt.Errorf("%w%s", err, s.dialer.Hint())
		} else if err != nil {
			return nil, err
		}
		if a.err != nil {
			return nil, a.err
		}
	}
}

var errNoConn = fmt.Errorf("%w: no connection", ErrTimeout)

// await waits for done. It returns late after QueueTimeout.
func (s *server) await(ctx context.Context, done <-chan struct{}, late error) error {
	t := time.NewTimer(s.opts.QueueTimeout)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return fmt.Errorf("%w after %v", late, s.opts.QueueTimeout)
	}
}

// startDial returns the current attempt to connect. It starts one if there is an empty
// slot and the breaker allows it. Without an empty slot both results are nil. s.mu is
// held.
func (s *server) startDial(now time.Time) (*attempt, error) {
	if s.retired {
		return nil, pipeline.ErrUnsent
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
	a := &attempt{done: make(chan struct{}), trial: s.breaker.open.Load()}
	s.attempt = a
	s.wg.Go(func() { s.runDial(a, slot) })
	return a, nil
}

func (s *server) runDial(a *attempt, slot int) {
	start := time.Now()
	c, err := s.dialer.Connect(s.ctx, s.wg, s.down)
	if h := s.opts.Hooks.Dialed; h != nil {
		h(s.name, time.Since(start), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempt = nil
	switch {
	case err != nil:
		a.err = err
		s.breaker.failed(time.Now(), err)
	case s.retired || s.ctx.Err() != nil:
		a.err = pipeline.ErrUnsent
		go c.Close(ErrClosed)
	default:
		s.breaker.open.Store(false)
		s.slots[slot].Store(c)
	}
	close(a.done)
}

// down is called when connection c ended.
func (s *server) down(c *pipeline.Conn, err error) {
	s.drop(c)
	if h := s.opts.Hooks.Down; h != nil {
		h(s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Answered() {
		s.breaker.failures = 0
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, pipeline.ErrProtocol) {
		s.breaker.failed(time.Now(), err)
	}
	if err == pipeline.ErrDowngrade {
		s.dialer.Downgrade()
	}
}

// drop takes c out of use.
func (s *server) drop(c *pipeline.Conn) {
	for i := range s.slots {
		s.slots[i].CompareAndSwap(c, nil)
	}
}

// dead reports whether requests to the server would fail at once.
func (s *server) dead() bool {
	if !s.breaker.open.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempt != nil || s.breaker.check(time.Now()) != nil
}

// reresolve resolves the host name and drains connections to addresses that are gone.
func (s *server) reresolve(ctx context.Context) {
	if s.Path != "" || net.ParseIP(s.Host) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	ips, err := s.opts.Resolver.LookupHost(ctx, s.Host)
	if err != nil || len(ips) == 0 {
		return
	}
	current := make(map[string]bool)
	for _, ip := range ips {
		current[ip] = true
	}
	for i := range s.slots {
		if c := s.slots[i].Load(); c != nil && !current[c.IP] && s.slots[i].CompareAndSwap(c, nil) {
			c.Drain()
		}
	}
}

// retire ends the connections after their replies. The server accepts no further
// requests.
func (s *server) retire() { s.end((*pipeline.Conn).Drain) }

// close ends the connections at once.
func (s *server) close() { s.end(func(c *pipeline.Conn) { c.Close(ErrClosed) }) }

func (s *server) end(conn func(*pipeline.Conn)) {
	s.mu.Lock()
	s.retired = true
	s.mu.Unlock()
	for i := range s.slots {
		if c := s.slots[i].Swap(nil); c != nil {
			conn(c)
		}
	}
}
