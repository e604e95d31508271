package zmq

import (
	"slices"
	"sync"
	"sync/atomic"

	"lintel.dev/internal/zmq/engine"
	"lintel.dev/internal/zmq/flow"
)

// pipe is a socket's end of the way to one peer: a queue in each direction. An
// engine carries the messages: over a connection, or to the pipe of another
// socket in this process, which has the same queues the other way round.
type pipe struct {
	s       *core
	ep      *Endpoint
	in, out *flow.Queue

	outTurn flow.Member[*pipe] // of a load balancer; protected by the send lock
	inTurn  flow.Member[*pipe] // of the fair queue; protected by the receive lock

	// Where the receiver is in the batch it took; protected by the receive lock.
	cur      flow.Cursor
	batch    uint64
	within   bool // there is a batch
	recycles bool // the memory of the last one was recycled
	lent     bool // the application may keep views of the batch
	views    int  // of the batch, which the application will end
	burst    int  // messages in the batch
	consumed int  // messages read and not yet acknowledged
	step     int
	ended    bool // in is closed and empty
	skips    int  // turns to skip; see fairQueue

	engine atomic.Pointer[engine.Engine] // while there is a connection, or a peer in this process

	// Protected by both locks of the socket: either suffices to read.
	id    []byte // routing id of the peer
	named bool   // by ConnectRoutingID
	gone  bool   // detached

	mark  uint64 // last publication that matched; protected by the send lock
	fan   fanoutState
	stats pipeStats

	peers      atomic.Uint32 // connections that have ended: at a publisher, each is another subscriber
	upstream   atomic.Bool   // sent messages, not only subscriptions, to an XPUB
	subscribed int           // octets that the peer's subscriptions take; protected by the send lock

	info      atomic.Pointer[PeerInfo]
	draining  sync.Mutex  // one drain at a time
	finishing atomic.Bool // finishSending was called
	over      atomic.Bool // end was called
	leaving   atomic.Bool // the peer asked for no more messages
	flushOnce sync.Once
	flushed   chan struct{} // closed when nothing is left to send

	bell atomic.Bool // set by the producer; see gather
}

type pipeStats struct {
	dropped    atomic.Uint64 // at the high-water mark
	reconnects atomic.Uint64
}

func newPipe(s *core, ep *Endpoint, in, out *flow.Queue) *pipe {
	p := &pipe{s: s, ep: ep, in: in, out: out, step: in.Step(), flushed: make(chan struct{})}
	p.inTurn.V, p.outTurn.V = p, p
	out.Owner = p
	return p
}

// push queues m. It returns p if the consumer is to be woken, by kick, once no
// lock is held; ok is false if there is no room.
func (p *pipe) push(m *flow.Message) (wake *pipe, ok bool) {
	switch p.out.Append(m) {
	case flow.Full:
		return nil, false
	case flow.Wake:
		return p, true
	}
	return nil, true
}

// pushOrDrop is push that drops m if there is no room.
func (p *pipe) pushOrDrop(m *flow.Message) (wake *pipe) {
	wake, ok := p.push(m)
	if !ok {
		p.stats.dropped.Add(1)
	}
	return wake
}

// pushEncoded queues an encoded message or drops it, and wakes the consumer. A
// lock may be held.
func (p *pipe) pushEncoded(b *flow.Batch) bool {
	switch p.out.AppendEncoded(b.Enc, b.Refs) {
	case flow.Full:
		p.stats.dropped.Add(1)
		return false
	case flow.Wake:
		p.kickLater()
	}
	return true
}

// plug makes e the engine of the pipe.
func (p *pipe) plug(e engine.Engine) { p.engine.Store(&e) }

// remote reports whether the peer is in another process, or reached as if it
// were.
func (p *pipe) remote() bool { return p.engine.Load() != nil && p.inproc() == nil }

// closeFor closes the connection for a reason that its events tell.
func (p *pipe) closeFor(reason error) {
	if e := p.engine.Load(); e != nil {
		(*e).Close(reason)
	}
}

// kick wakes the consumer of p.out after a push. No lock is held.
func (p *pipe) kick() {
	if e := p.engine.Load(); e != nil {
		(*e).Kick()
	}
}

// fill makes sure that p.cur has a message to read. It reports false when
// there is none; the queue will then call readable. The receive lock is held.
func (p *pipe) fill() bool {
	if !p.cur.Done() {
		return true
	}
	p.ack()
	b, ok, done := p.in.Take(p.leave())
	if !ok {
		p.ended = done
		return false
	}
	p.enter(b)
	return true
}

// leave ends the batch that is read, if there is one. It reports whether the
// batch's memory was recycled. The receive lock is held.
func (p *pipe) leave() (recycles bool) {
	if !p.within {
		return p.recycles
	}
	p.recycles = !p.lent && p.views == 0
	if p.recycles {
		p.cur.Recycle()
	}
	p.cur, p.within, p.lent, p.views, p.burst = flow.Cursor{}, false, false, 0, 0
	p.batch++
	return p.recycles
}

// enter begins a batch. The receive lock is held.
func (p *pipe) enter(b flow.Batch) {
	p.cur, p.within, p.burst = flow.NewCursor(b), true, b.Msgs
	p.cur.Prefetch(b.Msgs)
}

// read counts one message as read. The receive lock is held.
func (p *pipe) read() {
	p.consumed++
	if p.consumed >= p.step {
		p.ack()
	}
}

func (p *pipe) ack() {
	if p.consumed == 0 {
		return
	}
	if p.in.Ack(p.consumed) {
		p.s.recv.reopened = append(p.s.recv.reopened, p)
	}
	p.consumed = 0
}

// updateStep applies a changed high-water mark of p.in. No lock is held.
func (p *pipe) updateStep() {
	p.s.recv.Lock()
	p.step = p.in.Step()
	p.s.recv.Unlock()
}

// resumeProducer lets the producer of p.in, which was refused, go on.
func (p *pipe) resumeProducer() {
	if e := p.engine.Load(); e != nil {
		(*e).Resume()
	}
}

// kickLater is kick that leaves writing to another goroutine. A lock may be
// held.
func (p *pipe) kickLater() {
	if e := p.engine.Load(); e != nil {
		(*e).KickLater()
	}
}

// greet sends a message of the socket itself to the peer.
func (p *pipe) greet(b []byte) {
	if p.out.Append(&flow.Message{One: b}) == flow.Wake {
		p.kickLater()
	}
}

// subscribe sends a subscription to the peer, or the end of one.
func (p *pipe) subscribe(add bool, topic []byte) {
	if e := p.engine.Load(); e != nil {
		(*e).Subscribe(add, topic)
	}
}

// unread returns how many messages of the current batch were not received. The
// receive lock is held.
func (p *pipe) unread() (n int) {
	for c := p.cur; !c.Done(); n++ {
		flags, _ := c.Next()
		c.SkipMessage(flags)
	}
	return n
}

// finishSending refuses further messages, and notes if none is left. Those of a
// peer that was accepted just now are sent by the engine to come.
func (p *pipe) finishSending() {
	p.finishing.Store(true)
	r := p.out.Close()
	if r == flow.Wake || p.engine.Load() == nil && !p.out.Pending() || p.inproc() != nil {
		p.setFlushed()
	}
}

func (p *pipe) setFlushed() { p.flushOnce.Do(func() { close(p.flushed) }) }

// end removes the pipe on both sides. With drop, messages that arrived are
// dropped too. No lock is held.
func (p *pipe) end(drop bool) {
	if !p.over.CompareAndSwap(false, true) {
		return
	}
	p.ep.remove(p)
	p.s.detach(p, drop)
	peer := p.inproc()
	if peer != nil && !peer.over.Load() {
		peer.s.disconnected(peer, peer.ep.bound)
	}
	p.out.Close()
	p.setFlushed()
	if peer == nil && p.leaving.Load() {
		p.s.wg.Go(p.reroute)
	} else if peer == nil {
		p.dropIfOver()
	}
	if e := p.engine.Load(); e != nil {
		(*e).Close(engine.ErrClosed)
	}
}

// dropIfOver drops what is queued for a peer that is gone, and counts it as lost.
// end calls it, and so does an engine that puts messages back after that.
func (p *pipe) dropIfOver() {
	if !p.over.Load() {
		return
	}
	if n := p.out.Clear(); n > 0 {
		p.s.counter.lost.Add(uint64(n))
	}
}

// retire is end for a caller that holds locks.
func (p *pipe) retire() { p.s.wg.Go(func() { p.end(false) }) }

// remove returns pipes without p, in order.
func remove(pipes []*pipe, p *pipe) []*pipe {
	return slices.DeleteFunc(pipes, func(q *pipe) bool { return q == p })
}

// setHWM applies changed high-water marks. Both locks of the socket are held.
func (p *pipe) setHWM(o *options) {
	send, recv := o.SendHWM, o.RecvHWM
	if peer := p.inproc(); peer != nil {
		other := peer.s.options()
		send, recv = addHWM(send, other.RecvHWM), addHWM(other.SendHWM, recv)
	}
	if p.out.SetHWM(send) && p.outTurn.Joined() {
		p.outTurn.Activate()
		p.s.send.wakeAll()
	}
	if p.in.SetHWM(recv) {
		p.s.wg.Go(p.resumeProducer)
	}
	p.step = p.in.Step()
}

// drain gives the messages of an XSUB in this process to the publisher that p
// belongs to, while that has room. No lock is held.
func (p *pipe) drain(x publisherSide) {
	p.draining.Lock()
	defer p.draining.Unlock()
	for x.room(p) {
		b, ok, _ := p.in.Take(false)
		if !ok {
			return
		}
		upstream(x, p, b)
		if p.in.Ack(b.Msgs) {
			p.s.wg.Go(p.resumeProducer)
		}
	}
}
