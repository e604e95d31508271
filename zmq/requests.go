package zmq

import (
	"context"
	"encoding/binary"
	"sync"

	"lintel.dev/internal/zmq/flow"
)

// calls are the Requests under way on a socket, by the id that travels with
// each. The receive lock protects them.
type calls struct {
	s  *core
	by map[uint32]*call
}

// call is a Request under way.
type call struct {
	reply Msg
	err   error
	done  bool

	to *pipe  // who was asked, where that is known
	nr uint64 // of the request among all messages for to
}

var callPool = sync.Pool{New: func() any { return new(call) }}

func newCalls(s *core) calls { return calls{s, make(map[uint32]*call)} }

func (x *calls) begin(id uint32) *call {
	c := callPool.Get().(*call)
	*c = call{}
	x.by[id] = c
	return c
}

// end forgets a call, whatever became of it, and lets another go on.
func (x *calls) end(id uint32, c *call) {
	delete(x.by, id)
	callPool.Put(c)
	if len(x.by) > 0 && x.s.fairReady() {
		x.s.canRecv.Wake()
	}
}

// await waits for the reply to a call, handing replies to the others meanwhile.
func (x *calls) await(ctx context.Context, c *call) (Msg, error) {
	s := x.s
	for {
		if s.recvFailed != nil {
			return nil, s.recvFailed
		}
		if !c.done {
			x.dispatch(c)
			s.tell()
		}
		if c.done {
			return c.reply, c.err
		}
		if s.fairReady() {
			continue // arrived while telling
		}
		s.stopAlone()
		if err := s.canRecv.Wait(ctx, s.recv, s.rcvTimeo); err != nil {
			return nil, waitError(ctx, err)
		}
	}
}

// dispatch hands what arrived to the calls it answers, until mine is.
func (x *calls) dispatch(mine *call) {
	for !mine.done {
		p, flags, id, ok := x.s.fairFrame()
		if !ok {
			return
		}
		if len(id) != 4 || flags&flow.More == 0 {
			x.s.skip(p, flags)
			continue
		}
		c := x.by[binary.NativeEndian.Uint32(id)]
		flags, empty := p.cur.Next()
		if c == nil || c.done || len(empty) != 0 || flags&flow.More == 0 {
			x.s.skip(p, flags)
			continue
		}
		flags, frame := p.cur.Next()
		one, parts := x.s.rest(p, flags, frame)
		if parts == nil {
			parts = Msg{one}
		}
		c.reply, c.done = parts, true
		if c != mine {
			x.s.canRecv.WakeAll()
		}
	}
}

// failed ends the calls that p got and did not answer; what still waits for p is
// sent when it is back, unless it is gone for good.
func (x *calls) failed(p *pipe) {
	if len(x.by) == 0 {
		return
	}
	x.dispatch(&call{}) // replies that are here count
	_, taken := p.out.Counters()
	for _, c := range x.by {
		if !c.done && c.to == p && (p.gone || c.nr <= taken.Msgs) {
			c.err, c.done = ErrPeerGone, true
		}
	}
	x.s.canRecv.WakeAll()
	x.s.tell()
}

// envelope appends what goes before the request of an id.
func envelope(dst []byte, id uint32) []byte {
	dst = append(dst, flow.More, 4)
	dst = binary.NativeEndian.AppendUint32(dst, id)
	return append(dst, flow.More, 0)
}
