package zmq

import (
	"context"
	"fmt"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// Drain closes an endpoint of a PULL or GATHER without losing messages. It asks each
// peer to send no more, and waits until all that they sent has arrived. Afterwards
// TryRecv returns the rest until it returns ErrWouldBlock. Receive during Drain too:
// a socket that has as many messages as its high-water mark reads no more. The
// messages that a peer had queued for this socket go to other sockets. A peer that
// connected and has no other sockets keeps them, and sends them when it is connected
// again.
//
// Only a PUSH or SCATTER of this library can be asked, from version 3.0 of ZMTP on.
// The connections to other peers are closed at once, as by Close: messages under way
// are lost. Peers in this process have none under way. Drain also waits for handshakes
// that have begun, for at most the handshake time. SUB and DISH have no Drain: a
// publisher drops what a subscriber cannot take at any time, so a subscriber that must
// know of each message needs numbers and repetition, as package feed has them.
//
// When ctx is done first, Drain closes the endpoint and returns the error of ctx. It
// returns ErrNotSupported for other socket types, and ErrNoEndpoint if the endpoint
// or the socket is closed already.
func (e *Endpoint) Drain(ctx context.Context) error {
	if e.s.typ != zmtp.PULL && e.s.typ != zmtp.GATHER {
		return fmt.Errorf("zmq: drain an endpoint of %v: %w", e.s.typ, ErrNotSupported)
	}
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	e.unbind()
	asked := make(map[*pipe]bool)
	for {
		shaken := e.whenShaken() // before allPipes: a handshake that ended has added its pipe
		for _, p := range e.allPipes() {
			if eng := p.engine.Load(); eng != nil && !asked[p] && (*eng).Drain() {
				asked[p] = true
			}
		}
		var next *pipe
		for p := range asked {
			next = p
			break
		}
		var ended chan struct{}
		switch {
		case shaken != nil:
		case next != nil:
			ended = next.flushed // when the connection has ended
		default:
			return e.Close()
		}
		select {
		case <-shaken:
		case <-ended:
			delete(asked, next)
		case <-e.live.Done():
			return e.Close()
		case <-ctx.Done():
			if err := e.Close(); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

// beginHandshake counts a handshake that begins. It reports false if the endpoint
// drains.
func (e *Endpoint) beginHandshake() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return false
	}
	e.shaking++
	return true
}

// endHandshake follows beginHandshake, and plug if there is a pipe then.
func (e *Endpoint) endHandshake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shaking--; e.shaking == 0 && e.shaken != nil {
		close(e.shaken)
		e.shaken = nil
	}
}

// whenShaken returns a channel that is closed when no handshake is going on, or nil
// if there is none.
func (e *Endpoint) whenShaken() chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shaking == 0 {
		return nil
	}
	if e.shaken == nil {
		e.shaken = make(chan struct{})
	}
	return e.shaken
}

// isDraining reports whether Drain was called.
func (e *Endpoint) isDraining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining
}

// drains reports whether the socket answers DRAIN.
func (s *core) drains() bool { return s.typ == zmtp.PUSH || s.typ == zmtp.SCATTER }

// stopSending answers DRAIN: DRAINED follows what is being written. What is queued
// waits until the connection has ended, and then goes to other peers.
func (x *session) stopSending() {
	if !x.s.drains() {
		return
	}
	p := x.p
	p.leaving.Store(true)
	x.s.send.Lock()
	x.s.send.lb.detach(p)
	x.s.send.Unlock()
	if p.out.Seal(flow.AppendFrame(nil, flow.Command, zmtp.AppendDrained(nil))) == flow.Wake {
		x.eng.KickLater()
	}
}

// afterDrain is called when the connection of a pipe that stays has ended, after the
// peer asked for no more messages. Other peers get what is queued, and p takes part
// again when it is connected. Without other peers nothing changes.
func (p *pipe) afterDrain() {
	h := &p.s.send
	h.Lock()
	alone := h.lb.ring.Len() == 0
	if alone && !p.gone {
		h.lb.attach(p)
		h.wakeAll()
	}
	h.Unlock()
	p.leaving.Store(false)
	if alone || p.finishing.Load() {
		return
	}
	for {
		b, ok, _ := p.out.TakeAll()
		if !ok {
			break
		}
		p.s.wg.Go(func() { p.s.resend(b) })
	}
	p.out.Detach() // TakeAll has marked a consumer as idle, and there is none
}

// rejoin makes a pipe that afterDrain left out take part again.
func (p *pipe) rejoin() {
	h := &p.s.send
	h.Lock()
	defer h.Unlock()
	if !p.gone && !p.outTurn.Joined() {
		h.lb.attach(p)
		h.wakeAll()
	}
}

// reroute sends what is queued for a peer that left to others. It waits for them
// until the socket is closed; the rest is lost then.
func (p *pipe) reroute() {
	for {
		b, ok, _ := p.out.TakeAll()
		if !ok {
			p.dropIfOver() // an engine still has it
			return
		}
		p.s.resend(b)
	}
}

// resend sends the messages of a batch to any peer. It waits for room until the
// socket is closed; the rest is lost then.
func (s *core) resend(b flow.Batch) {
	c, left := flow.NewCursor(b), b.Msgs
	for ; left > 0; left-- {
		flags, frame := c.Next()
		m := Msg{frame}
		for flags&flow.More != 0 {
			flags, frame = c.Next()
			m = append(m, frame)
		}
		if s.send.sendPatiently(s.closeNow, flow.Message{Parts: m.Clone()}) != nil {
			break
		}
	}
	s.counter.lost.Add(uint64(left))
}
