package zmq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// core is what all socket types share: endpoints, pipes to peers, options,
// and a sending and a receiving half.
//
// Locks, in the order in which they are taken: endpoints, then that of the
// sending half, then that of the receiving half. The send lock of a socket may
// be held while the receive lock of another one is taken, never the reverse.
// PAIR, CHANNEL, REQ and REP have one lock for both halves, and take no lock of
// another socket while they hold it.
type core struct {
	typ    zmtp.SocketType
	ctx    *Context
	pat    pattern
	logger *slog.Logger

	opt        sync.Mutex // protects o
	o          options
	events     eventLog
	counter    socketCounters
	unfinished engine.Budget
	waiting    flow.Share   // messages that arrived on connections
	wrote      atomic.Int64 // when a sender wrote itself last, in nanoseconds since epoch

	endpoints endpoints

	// binding is done when the socket is closed or terminated. It ends calls of Bind
	// and Connect that look names up.
	binding     context.Context
	stopBinding context.CancelFunc

	closeNow context.Context // done when nothing lingers any more
	stopNow  context.CancelFunc
	wg       sync.WaitGroup // everything that runs for the socket

	send  sendHalf
	recv  recvHalf
	pipes map[*pipe]struct{} // protected by both locks: either suffices to read
}

// pattern is what makes a socket type. Types that send also implement outgoing,
// and types that receive implement incoming.
type pattern interface {
	// attach adds a pipe, and detach removes it from the sending side; messages
	// that arrived from it are still received. Both locks are held.
	attach(p *pipe)
	detach(p *pipe)
}

// What only some patterns do.
type (
	// optionsChanged is called with both locks held.
	optionHook interface{ optionsChanged(o *options) }
	// admits says why p cannot be attached; both locks are held.
	admitter interface{ admits(p *pipe) error }
	// admitsID says why a peer cannot have a routing id. No lock is held.
	idAdmitter interface{ admitsID(id []byte) error }
	// identified sets the routing id of an attached peer; both locks are held.
	identifier interface {
		identified(p *pipe, id []byte) error
	}
	// connected is called when the peer of an attached pipe is connected and ready,
	// disconnected when that connection has ended. No lock is held.
	connectedHook interface {
		connected(p *pipe)
		disconnected(p *pipe)
	}
	// unrouter makes the routing id of a peer that is gone unknown; both locks
	// are held.
	unrouter interface{ unroute(p *pipe) }
	// publisherSide gets subscriptions and other messages from subscribers. It
	// keeps nothing of its arguments. No lock is held.
	publisherSide interface {
		subscription(p *pipe, add bool, topic []byte)
		upstream(p *pipe, m Msg)
		// room reports whether p may send more messages upstream. If not, its
		// producer is resumed later.
		room(p *pipe) bool
	}
)

// newCore makes the core of a socket.
func newCore(t zmtp.SocketType, opts []Option) (*core, error) {
	s := &core{
		typ:       t,
		endpoints: newEndpoints(),
		pipes:     make(map[*pipe]struct{}),
	}
	s.closeNow, s.stopNow = context.WithCancel(context.Background())
	s.binding, s.stopBinding = context.WithCancel(context.Background())
	s.send.Mutex, s.recv.Mutex = newLock(), newLock()
	switch t {
	case zmtp.PAIR, zmtp.CHANNEL, zmtp.REQ, zmtp.REP: // their sides depend on each other
		s.recv.Mutex = s.send.Mutex
	}
	s.send.log, s.recv.log = &s.events, &s.events
	s.o = defaultOptions(t)
	for _, opt := range opts {
		if err := opt(&s.o); err != nil {
			return nil, err
		}
	}
	s.logger = s.o.Logger
	s.ctx = s.o.Context
	if s.ctx == nil {
		s.ctx = &defaultContext
	}
	return s, nil
}

// start completes the socket with what makes its type.
func (s *core) start(p pattern) error {
	s.pat = p
	s.send.out, _ = p.(outgoing)
	s.recv.in, _ = p.(incoming)
	_, s.recv.plain = p.(interface{ isPlain() })
	s.optionsChanged()
	return s.ctx.add(s)
}

func (s *core) options() options {
	s.opt.Lock()
	defer s.opt.Unlock()
	return s.o
}

// optionsChanged applies the options that take effect at once.
func (s *core) optionsChanged() {
	o := s.options()
	s.lockBoth()
	s.unfinished.SetLimit(o.UnfinishedBytes)
	s.waiting.SetLimit(o.RecvBytes)
	s.send.timeout, s.recv.timeout = o.SendTimeout, o.RecvTimeout
	for p := range s.pipes {
		p.setHWM(&o)
	}
	if h, ok := s.pat.(optionHook); ok {
		h.optionsChanged(&o)
	}
	s.unlockBoth()
}

func (s *core) lockBoth() {
	s.send.Lock()
	if s.recv.Mutex != s.send.Mutex {
		s.recv.Lock()
	}
}

func (s *core) unlockBoth() {
	if s.recv.Mutex != s.send.Mutex {
		s.recv.Unlock()
	}
	s.send.Unlock()
}

// attach makes p one of the socket's pipes, or says why it cannot be.
func (s *core) attach(p *pipe) error {
	s.lockBoth()
	defer s.unlockBoth()
	if s.send.err != nil {
		return s.send.err
	}
	if a, ok := s.pat.(admitter); ok {
		if err := a.admits(p); err != nil {
			return err
		}
	}
	s.pipes[p] = struct{}{}
	s.pat.attach(p)
	s.recv.stopDirect()
	s.send.wakeAll()
	s.recv.wakeOne()
	return nil
}

// identify sets the routing id of a peer that was attached without one.
func (s *core) identify(p *pipe, id []byte) error {
	s.lockBoth()
	defer s.unlockBoth()
	if p.named {
		return nil
	}
	if i, ok := s.pat.(identifier); ok {
		return i.identified(p, id)
	}
	p.id = id
	return nil
}

// connected does what is due when the peer of an attached pipe is there.
func (s *core) connected(p *pipe) {
	if h, ok := s.pat.(connectedHook); ok {
		h.connected(p)
	}
	o := &p.ep.o
	if s.notifies(o, notifyConnect) {
		p.deliver(nil)
	}
	if len(o.HelloMsg) > 0 && greets(s.typ) {
		p.greet(o.HelloMsg)
	}
	if o.ProbeRouter && (s.typ == zmtp.REQ || s.typ == zmtp.DEALER || s.typ == zmtp.ROUTER) {
		p.greet(nil)
	}
}

// detach removes p. Messages that arrived can still be received, unless drop is
// set.
func (s *core) detach(p *pipe, drop bool) {
	s.lockBoth()
	if _, ok := s.pipes[p]; ok {
		delete(s.pipes, p)
		p.gone = true
		s.pat.detach(p)
		s.counter.retire(p)
	}
	unread := 0
	if drop && p.inTurn.Joined() {
		p.inTurn.Remove()
		unread = p.unread()
	}
	s.unlockBoth()
	if h, ok := s.pat.(connectedHook); ok {
		h.disconnected(p)
	}
	p.in.Close()
	if drop {
		s.counter.lost.Add(uint64(unread + p.in.Clear()))
	} else {
		s.recv.forgetIfRead(p)
		s.readable(p)
	}
}

// readable is called when something arrived in p.in, or p.in was closed. No lock
// is held.
func (s *core) readable(p *pipe) {
	if x, ok := s.pat.(publisherSide); ok {
		p.drain(x)
		return
	}
	s.recv.Lock()
	if p.inTurn.Joined() {
		p.inTurn.Activate()
		s.recv.wakeOne()
	}
	s.recv.activity.Store(true)
	s.recv.Unlock()
}

// writable is called when p.out has room again. No lock is held.
func (s *core) writable(p *pipe) {
	s.send.Lock()
	p.outTurn.Activate()
	s.send.wakeAll()
	s.send.activity.Store(true)
	s.send.Unlock()
}

// interrupt makes every blocked and later call fail with err.
func (s *core) interrupt(err error) {
	s.stopBinding()
	s.lockBoth()
	if s.send.err == nil || errors.Is(s.send.err, ErrTerminated) {
		s.send.fail(err)
		s.recv.fail(err)
	}
	s.unlockBoth()
}

// setLocal notes that the socket has a peer in this process.
func (s *core) setLocal() {
	s.lockBoth()
	s.send.local, s.recv.local = true, true
	s.unlockBoth()
}
