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
// messages that a peer had queued for this socket go to other sockets.
//
// Only a bound PUSH or SCATTER of this library can be asked, from version 3.0 of ZMTP
// on. The connections to other peers are closed at once, as by Close: messages under
// way are lost. Peers in this process have none under way.
//
// When ctx is done first, Drain closes the endpoint and returns the error of ctx. It
// returns ErrNotSupported for other socket types, and ErrNoEndpoint if the endpoint
// or the socket is closed already.
func (e *Endpoint) Drain(ctx context.Context) error {
	if e.s.typ != zmtp.PULL && e.s.typ != zmtp.GATHER {
		return fmt.Errorf("zmq: drain an endpoint of %v: %w", e.s.typ, ErrNotSupported)
	}
	e.draining.Store(true)
	e.unbind()
	var asked []*pipe
	for _, p := range e.allPipes() {
		if eng := p.engine.Load(); eng != nil && (*eng).Drain() {
			asked = append(asked, p)
		}
	}
	for _, p := range asked {
		select {
		case <-p.flushed: // the connection has ended
		case <-e.live.Done():
		case <-ctx.Done():
			if err := e.Close(); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
	return e.Close()
}

// drains reports whether the socket answers DRAIN.
func (s *core) drains() bool { return s.typ == zmtp.PUSH || s.typ == zmtp.SCATTER }

// stopSending answers DRAIN: DRAINED follows what is being written. What is queued
// waits until the connection has ended, and then goes to other peers.
func (x *session) stopSending() {
	if !x.s.drains() || !x.ep.bound {
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

// reroute sends what is queued for a peer that left to others. It waits for them
// until the socket is closed; the rest is lost then.
func (p *pipe) reroute() {
	h := &p.s.send
	for {
		b, ok, _ := p.out.TakeAll()
		if !ok {
			p.dropIfOver() // an engine still has it
			return
		}
		c, left := flow.NewCursor(b), b.Msgs
		for ; left > 0; left-- {
			flags, frame := c.Next()
			m := Msg{frame}
			for flags&flow.More != 0 {
				flags, frame = c.Next()
				m = append(m, frame)
			}
			if h.sendPatiently(p.s.closeNow, flow.Message{Parts: m.Clone()}) != nil {
				break
			}
		}
		p.s.counter.lost.Add(uint64(left))
	}
}
