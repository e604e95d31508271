package zmq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// core is the machinery every socket type shares.
//
// Locks, in the order they are taken: endpoints, then send, then receive. A
// send lock may be held while the receive lock of another socket is taken,
// never the reverse; socket types whose two locks are one (see newCore) take
// no other socket's lock while holding it.
type core struct {
	typ zmtp.SocketType
	ctx *Context
	pat pattern

	// What sendBytes, recvBytes and the like may rely on.
	robin bool                 // the pattern sends with roundRobin
	fair  bool                 // the pattern receives with fairMsg, but for what sub refuses
	sub   *xsub                // of SUB: it may refuse messages
	solo  atomic.Pointer[pipe] // to send to, if there is just one; written with the send lock held

	logger *slog.Logger

	opt     sync.Mutex // protects o
	o       options
	events  eventLog
	counter socketCounters
	wrote   atomic.Int64 // when a sender wrote itself last, in nanoseconds since epoch

	endpoints sync.Mutex
	// The fields below are protected by endpoints.
	eps     map[*Endpoint]struct{}
	last    string // address of the last Bind or Connect
	closing bool
	closed  chan struct{}          // closed when Close is over
	ending  map[*Endpoint]struct{} // closed, and their messages linger

	closeNow context.Context // done when nothing lingers any more
	stopNow  context.CancelFunc
	wg       sync.WaitGroup // everything that runs for the socket

	send *sync.Mutex
	// The fields below are protected by send.
	lb       flow.Rota[*pipe]
	canSend  flow.Waiters
	failed   error
	pipes    map[*pipe]struct{}
	sndTimeo time.Duration

	recv *sync.Mutex
	// The fields below are protected by recv.
	fq         flow.Rota[*pipe]
	canRecv    flow.Waiters
	recvFailed error
	headers    [][]byte // room for the next messages of one frame
	from       *pipe    // of the message received last
	reopened   []*pipe  // their producers are to be told, once recv is released
	rcvTimeo   time.Duration
	alone      alone

	watchers []*watcher // protected by both: either suffices to read
	local    bool       // has or had a peer in this process; likewise

	// What a call that lingers looks at: something became readable, or
	// writable, since it found that nothing was.
	stirred, eased atomic.Bool
	sendWatch      watch // protected by send
	recvWatch      watch // protected by recv
}

// pattern is what makes a socket type itself.
type pattern interface {
	// attach adds a pipe and detach takes it away from the sending side; both
	// locks are held.
	attach(p *pipe)
	detach(p *pipe)
	// sendMsg queues m or returns errAgain. It returns the pipe to kick, if
	// any. The send lock is held.
	sendMsg(m flow.Message) (*pipe, error)
	// recvMsg returns the next message or errAgain: one frame in one, or
	// several in parts. The receive lock is held.
	recvMsg() (one []byte, parts Msg, err error)
	// canSendNow and canRecvNow answer a poller, with the lock held.
	canSendNow() bool
	canRecvNow() bool
}

// What only some patterns do.
type (
	// optionsChanged is called with both locks held.
	optionHook interface{ optionsChanged(o *options) }
	// admits says why p cannot be attached; both locks are held.
	admitter interface{ admits(p *pipe) error }
	// identified tells the routing id of an attached peer; both locks are held.
	identifier interface {
		identified(p *pipe, id []byte) error
	}
	// connected is called when the peer behind an attached pipe is there, lost
	// when it is gone for now. No lock is held.
	connectedHook interface {
		connected(p *pipe)
		lost(p *pipe)
	}
	// unrouter makes the routing id of a peer that is gone unknown; both locks
	// are held.
	unrouter interface{ unroute(p *pipe) }
	// publisherSide gets subscriptions and what else comes from subscribers. It
	// keeps nothing of its arguments. No lock is held.
	publisherSide interface {
		subscription(p *pipe, add bool, topic []byte)
		upstream(p *pipe, m Msg)
	}
)

// newCore makes the core of a socket. shared makes its two locks one, for the
// types whose sending and receiving depend on each other.
func newCore(t zmtp.SocketType, shared bool, opts []Option) (*core, error) {
	s := &core{
		typ:    t,
		eps:    make(map[*Endpoint]struct{}),
		pipes:  make(map[*pipe]struct{}),
		closed: make(chan struct{}),
		ending: make(map[*Endpoint]struct{}),
		send:   newLock(),
	}
	s.closeNow, s.stopNow = context.WithCancel(context.Background())
	s.recv = s.send
	if !shared {
		s.recv = newLock()
	}
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

// newLock makes a lock that shares a cache line with nothing: every message
// takes it, and in the next line may be that of the socket at the other end.
func newLock() *sync.Mutex {
	return &new(struct {
		sync.Mutex
		_ [128 - 8]byte
	}).Mutex
}

// start makes the socket known once its pattern is in place.
func (s *core) start(p pattern) error {
	s.pat = p
	s.optionsChanged()
	return s.ctx.add(s)
}

func (s *core) options() options {
	s.opt.Lock()
	defer s.opt.Unlock()
	return s.o
}

// optionsChanged lets the socket act on options that take effect at once.
func (s *core) optionsChanged() {
	o := s.options()
	s.lockBoth()
	s.sndTimeo, s.rcvTimeo = o.SendTimeout, o.RecvTimeout
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
	if s.recv != s.send {
		s.recv.Lock()
	}
}

func (s *core) unlockBoth() {
	if s.recv != s.send {
		s.recv.Unlock()
	}
	s.send.Unlock()
}

// attach makes p one of the socket's pipes, or says why it cannot be.
func (s *core) attach(p *pipe) error {
	s.lockBoth()
	defer s.unlockBoth()
	if s.failed != nil {
		return s.failed
	}
	if a, ok := s.pat.(admitter); ok {
		if err := a.admits(p); err != nil {
			return err
		}
	}
	s.pipes[p] = struct{}{}
	s.pat.attach(p)
	s.findSolo()
	s.stopAlone()
	s.wakeSenders()
	s.wakeReceivers()
	return nil
}

// identify tells the routing id of a peer that was attached without one.
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

// joined does what is due when the peer of an attached pipe is there.
func (s *core) joined(p *pipe) {
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

// detach takes p away. Messages that arrived stay to be read, unless drop.
func (s *core) detach(p *pipe, drop bool) {
	s.lockBoth()
	if _, ok := s.pipes[p]; ok {
		delete(s.pipes, p)
		p.gone = true
		s.pat.detach(p)
		s.findSolo()
		s.counter.retire(p)
	}
	if drop {
		s.fq.Remove(&p.inSeat)
	}
	s.unlockBoth()
	if h, ok := s.pat.(connectedHook); ok {
		h.lost(p)
	}
	p.in.Close()
	if !drop {
		s.unseat(p)
		s.readable(p)
	}
}

// unseat forgets a peer that is gone and left nothing to read: a socket on which
// nobody receives would keep all that ever came.
func (s *core) unseat(p *pipe) {
	s.recv.Lock()
	if p.inSeat.Seated() && !p.fill() && p.ended {
		s.fq.Remove(&p.inSeat)
	}
	s.recv.Unlock()
}

// setStep takes over a changed high-water mark of p.in.
func (s *core) setStep(p *pipe) {
	s.recv.Lock()
	p.step = p.in.Step()
	s.recv.Unlock()
}

// overNow reports whether the socket is being closed.
func (s *core) overNow() bool {
	s.endpoints.Lock()
	defer s.endpoints.Unlock()
	return s.closing
}

// readable is called when something arrived in p.in, or it was closed.
func (s *core) readable(p *pipe) {
	if x, ok := s.pat.(publisherSide); ok {
		p.drain(x)
		return
	}
	s.recv.Lock()
	if p.inSeat.Seated() {
		s.fq.Activate(&p.inSeat)
		s.wakeReceivers()
	}
	s.stirred.Store(true)
	s.recv.Unlock()
}

// wakeReceivers lets one receiver go on, and every poller. It wakes the next
// receiver when it leaves something behind. The receive lock is held.
func (s *core) wakeReceivers() {
	s.canRecv.Wake()
	s.notifyWatchers()
}

// writable is called when p.out has room again.
func (s *core) writable(p *pipe) {
	s.send.Lock()
	if p.outSeat.Seated() {
		s.lb.Activate(&p.outSeat)
	}
	s.wakeSenders()
	s.eased.Store(true)
	s.send.Unlock()
}

func (s *core) wakeSenders() {
	s.canSend.WakeAll()
	s.notifyWatchers()
}

// interrupt makes every blocked and later call fail with err.
func (s *core) interrupt(err error) {
	s.lockBoth()
	if s.failed == nil || errors.Is(s.failed, ErrTerminated) {
		s.failed, s.recvFailed = err, err
		s.findSolo()
	}
	s.stopAlone()
	s.canSend.WakeAll()
	s.canRecv.WakeAll()
	s.notifyWatchers()
	s.unlockBoth()
}

// noWait is the context of Try calls.
type noWait struct{ context.Context }

var try context.Context = noWait{context.Background()}

// sendMsg sends m, waiting for room if it has to.
func (s *core) sendMsg(ctx context.Context, m flow.Message) error {
	s.send.Lock()
	var lingered bool
	for {
		if s.failed != nil {
			err := s.failed
			s.send.Unlock()
			return err
		}
		k, err := s.pat.sendMsg(m)
		if err == nil {
			s.send.Unlock()
			if k != nil {
				k.kick()
			}
			return nil
		}
		if err != errAgain {
			s.send.Unlock()
			return err
		}
		if ctx == try || s.sndTimeo == 0 {
			s.send.Unlock()
			return ErrWouldBlock
		}
		if s.local && !lingered && !s.canSend.Any() {
			lingered = true
			s.lingerSend(m.Short())
			continue
		}
		lingered = false
		if err := s.canSend.Wait(ctx, s.send, s.sndTimeo); err != nil {
			s.send.Unlock()
			return waitError(ctx, err)
		}
	}
}

// waitError tells a passed socket timeout from a context that is done.
func waitError(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return ErrWouldBlock
	}
	return err
}

// recvMsg receives a message, waiting for one if it has to. With whole, one
// frame comes in parts too. With peer, it stores who sent the message there.
func (s *core) recvMsg(ctx context.Context, whole bool, peer **PeerInfo) (one []byte, parts Msg, err error) {
	s.recv.Lock()
	var lingered bool
	for {
		if s.recvFailed != nil {
			err := s.recvFailed
			s.recv.Unlock()
			return nil, nil, err
		}
		if s.gather(ctx) {
			continue
		}
		one, parts, err = s.pat.recvMsg()
		if err != errAgain {
			break
		}
		if err := s.awaitMsg(ctx, &lingered); err != nil {
			s.recv.Unlock()
			return nil, nil, err
		}
	}
	if err == nil {
		if whole && parts == nil {
			parts = s.header(one)
		}
		if peer != nil && s.from != nil {
			*peer = s.from.info.Load()
		}
	}
	s.received()
	s.recv.Unlock()
	return one, parts, err
}

// received does what is due after a message was received: another receiver
// may go on, and producers that have room again.
func (s *core) received() {
	if s.canRecv.Any() && s.pat.canRecvNow() {
		s.canRecv.Wake()
	}
	if len(s.reopened) > 0 {
		s.tell()
	}
}

// tell informs the producers that have room again. It releases the receive
// lock for that and takes it again.
func (s *core) tell() {
	for len(s.reopened) > 0 {
		p := s.reopened[len(s.reopened)-1]
		s.reopened = s.reopened[:len(s.reopened)-1]
		s.recv.Unlock()
		p.tellProducer()
		s.recv.Lock()
	}
}

// header makes a message of one frame. Small ones share an array, so that
// few messages need an allocation.
func (s *core) header(frame []byte) Msg {
	if len(frame) >= 1<<10 {
		return Msg{frame}
	}
	if len(s.headers) == 0 {
		s.headers = make([][]byte, 64)
	}
	m := s.headers[:1:1]
	s.headers = s.headers[1:]
	m[0] = frame
	return m
}

// fairFrame returns the first frame of the next message by fair queueing.
func (s *core) fairFrame() (p *pipe, flags byte, frame []byte, ok bool) {
	for {
		seat, ok := s.fq.Current()
		if !ok {
			return nil, 0, nil, false
		}
		p := seat.V
		if p.fill() {
			flags, frame = p.cur.Next()
			return p, flags, frame, true
		}
		if p.ended {
			s.fq.Remove(seat)
		} else {
			s.fq.Deactivate(seat)
		}
	}
}

// rest completes a message whose first frame is read, and passes the turn on.
func (s *core) rest(p *pipe, flags byte, frame []byte) (one []byte, parts Msg) {
	if flags&flow.More == 0 {
		s.finish(p)
		return frame, nil
	}
	parts = make(Msg, 1, 3)
	parts[0] = frame
	for flags&flow.More != 0 {
		flags, frame = p.cur.Next()
		parts = append(parts, frame)
	}
	s.finish(p)
	return nil, parts
}

// skip drops the rest of a message and passes the turn on.
func (s *core) skip(p *pipe, flags byte) {
	p.cur.SkipMessage(flags)
	s.finish(p)
}

func (s *core) finish(p *pipe) {
	if s.from != p { // spares most messages the write barrier
		s.from = p
	}
	s.fq.Next()
	p.lent = true
	p.read()
}

// fairMsg is recvMsg of the types that fair-queue and change nothing.
func (s *core) fairMsg() (one []byte, parts Msg, err error) {
	p, flags, frame, ok := s.fairFrame()
	if !ok {
		return nil, nil, errAgain
	}
	one, parts = s.rest(p, flags, frame)
	return one, parts, nil
}

// fairReady reports whether fairFrame would find a message.
func (s *core) fairReady() bool {
	for {
		seat, ok := s.fq.Current()
		if !ok {
			return false
		}
		if seat.V.fill() {
			return true
		}
		if seat.V.ended {
			s.fq.Remove(seat)
		} else {
			s.fq.Deactivate(seat)
		}
	}
}

// roundRobin is sendMsg of the types that deal messages out.
func (s *core) roundRobin(m flow.Message) (*pipe, error) {
	for {
		seat, ok := s.lb.Current()
		if !ok {
			return nil, errAgain
		}
		switch seat.V.out.Append(&m) {
		case flow.Full:
			s.lb.Deactivate(seat)
		case flow.Queued:
			s.lb.Next()
			return nil, nil
		case flow.Wake:
			s.lb.Next()
			return seat.V, nil
		}
	}
}

// robinReady reports whether roundRobin would accept a message.
func (s *core) robinReady() bool {
	for {
		seat, ok := s.lb.Current()
		if !ok {
			return false
		}
		if seat.V.out.Ready() {
			return true
		}
		s.lb.Deactivate(seat)
	}
}
