package zmq

import (
	"context"
	"sync/atomic"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// outgoing is the part of a socket type that sends. The send lock is held.
type outgoing interface {
	// sendMsg queues m, drops it as the type demands, or returns errAgain when
	// the caller has to wait. It returns the pipe whose consumer is to be woken
	// once no lock is held, if any.
	sendMsg(m flow.Message) (wake *pipe, err error)
	// canSend reports whether sendMsg would not return errAgain.
	canSend() bool
}

// sendHalf is the sending side of a socket.
type sendHalf struct {
	half
	out outgoing // nil: the type does not send
	lb  loadBalancer
}

// sendMsg sends m, waiting for room if it has to.
func (h *sendHalf) sendMsg(ctx context.Context, m flow.Message) error {
	var w wait
	for {
		h.lockFor(&w)
		if err := h.err; err != nil {
			h.Unlock()
			return err
		}
		wake, err := h.out.sendMsg(m)
		if err != errAgain {
			h.Unlock()
			if wake != nil {
				wake.kick()
			}
			return err
		}
		if err := h.unlockAndWait(ctx, &w, m.Short()); err != nil {
			return err
		}
	}
}

// sendBytes is sendMsg of one frame. If the load balancer has a single peer
// there is no choice to make, and the send lock is not needed: if the peer has
// just gone, its queue is closed or the message counts as sent before.
func (h *sendHalf) sendBytes(ctx context.Context, b []byte) error {
	if p := h.lb.only.Load(); p != nil {
		switch p.out.AppendOne(b) {
		case flow.Queued:
			return nil
		case flow.Wake:
			p.kick()
			return nil
		}
	}
	return h.sendMsg(ctx, flow.Message{One: b})
}

// lockReady waits until a message can be sent, without a timeout. If it
// returns nil the lock is held.
func (h *sendHalf) lockReady(ctx context.Context) error {
	w := wait{patient: true}
	for {
		h.lockFor(&w)
		if err := h.err; err != nil {
			h.Unlock()
			return err
		}
		if h.out.canSend() {
			return nil
		}
		if err := h.unlockAndWait(ctx, &w, false); err != nil {
			return err
		}
	}
}

// sendPatiently sends m, waiting for room until ctx is done, without a timeout.
func (h *sendHalf) sendPatiently(ctx context.Context, m flow.Message) error {
	for {
		if err := h.lockReady(ctx); err != nil {
			return err
		}
		wake, err := h.out.sendMsg(m)
		h.Unlock()
		if err == errAgain {
			continue // sendBytes took the room, without the lock
		}
		if wake != nil {
			wake.kick()
		}
		return err
	}
}

// ready reports whether a message can be sent now. The lock is held.
func (h *sendHalf) ready() bool { return h.out != nil && h.out.canSend() }

// unlockAndWait is called with the lock held after errAgain. It releases the
// lock and returns when another attempt may succeed. short says that the
// message is short; see spinSend.
func (h *sendHalf) unlockAndWait(ctx context.Context, w *wait, short bool) error {
	if w.never(ctx, h.timeout) {
		h.Unlock()
		return ErrWouldBlock
	}
	if h.local && !w.spun && !h.waiters.Any() {
		w.spun = true
		h.activity.Store(false)
		h.Unlock()
		h.spinSend(short)
		return nil
	}
	return h.unlockAndPark(ctx, w)
}

// fail makes every blocked and later call return err. The lock is held.
func (h *sendHalf) fail(err error) {
	h.err = err
	h.lb.stop()
	h.wakeAll()
}

// loadBalancer sends each message to the next peer that has room (libzmq's
// lb). It is the sending part of PUSH, DEALER and others. The send lock
// protects it.
type loadBalancer struct {
	ring    flow.RoundRobin[*pipe]
	single  bool                 // refuses messages of several frames
	typ     zmtp.SocketType      // for the error
	stopped bool                 // the socket is closed or terminated
	only    atomic.Pointer[pipe] // the only peer, if there is exactly one
}

func (b *loadBalancer) attach(p *pipe) {
	b.ring.Add(&p.outTurn)
	b.findOnly()
}

func (b *loadBalancer) detach(p *pipe) {
	p.outTurn.Remove()
	b.findOnly()
}

func (b *loadBalancer) stop() {
	b.stopped = true
	b.findOnly()
}

func (b *loadBalancer) findOnly() {
	p, ok := b.ring.Only()
	if !ok || b.stopped {
		p = nil
	}
	b.only.Store(p)
}

func (b *loadBalancer) sendMsg(m flow.Message) (wake *pipe, err error) {
	if b.single && len(m.Parts) > 1 {
		return nil, errOneFrame(b.typ, len(m.Parts))
	}
	_, wake, err = b.send(&m)
	return wake, err
}

// send queues m for the next peer that has room and returns it.
func (b *loadBalancer) send(m *flow.Message) (to, wake *pipe, err error) {
	for {
		t, ok := b.ring.Current()
		if !ok {
			return nil, nil, errAgain
		}
		p := t.V
		wake, ok := p.push(m)
		if ok {
			b.ring.Next()
			return p, wake, nil
		}
		t.Deactivate()
	}
}

func (b *loadBalancer) canSend() bool {
	for {
		t, ok := b.ring.Current()
		if !ok {
			return false
		}
		if t.V.out.Ready() {
			return true
		}
		t.Deactivate()
	}
}
