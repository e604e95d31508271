package zmq

import (
	"context"
	"encoding/binary"
	"sync"

	"lintel.dev/internal/zmq/flow"
)

// requests are the calls of Request in progress on a REQ or DEALER, by the id
// that travels with each. The receive lock protects them. The goroutine that
// receives replies gives those of other calls to them.
type requests struct {
	h  *recvHalf
	by map[uint32]*request
}

// request is one call of Request.
type request struct {
	reply Msg
	err   error
	done  bool

	to *pipe  // the peer that was asked, where that is known
	nr uint64 // number of the request among all messages for to
}

var requestPool = sync.Pool{New: func() any { return new(request) }}

func newRequests(s *core) requests { return requests{&s.recv, make(map[uint32]*request)} }

// begin adds a request. The receive lock is held.
func (x *requests) begin(id uint32) *request {
	c := requestPool.Get().(*request)
	*c = request{}
	x.by[id] = c
	return c
}

// end removes a request. The receive lock is held.
func (x *requests) end(id uint32, c *request) {
	delete(x.by, id)
	requestPool.Put(c)
}

// await waits for the reply to a request and ends it. The receive lock is not
// held.
func (x *requests) await(ctx context.Context, id uint32, c *request) (Msg, error) {
	h := x.h
	var w wait
	for {
		h.lockFor(&w)
		if h.err == nil {
			x.dispatch(c)
		}
		if c.done || h.err != nil {
			reply, err := c.reply, c.err
			if !c.done {
				err = h.err
			}
			x.end(id, c)
			h.unlock()
			return reply, err
		}
		if err := h.unlockAndWait(ctx, &w); err != nil {
			h.Lock()
			x.end(id, c)
			h.unlock()
			return nil, err
		}
	}
}

// dispatch gives the messages that arrived to the requests they answer, until
// mine is answered. The receive lock is held.
func (x *requests) dispatch(mine *request) {
	q := &x.h.fq
	for !mine.done {
		p, flags, id, ok := q.first()
		if !ok {
			return
		}
		if len(id) != 4 || flags&flow.More == 0 {
			q.skip(p, flags)
			continue
		}
		c := x.by[binary.NativeEndian.Uint32(id)]
		flags, empty := p.cur.Next()
		if c == nil || c.done || len(empty) != 0 || flags&flow.More == 0 {
			q.skip(p, flags)
			continue
		}
		flags, frame := p.cur.Next()
		one, parts := q.rest(p, flags, frame)
		if parts == nil {
			parts = Msg{one}
		}
		c.reply, c.done = parts, true
		if c != mine {
			x.h.waiters.WakeAll()
		}
	}
}

// peerLost ends the requests that p received and did not answer. Those that
// wait in its queue are sent when p is back, unless it is gone for good. The
// receive lock is held.
func (x *requests) peerLost(p *pipe) {
	if len(x.by) == 0 {
		return
	}
	x.dispatch(&request{}) // replies that have arrived count
	_, taken := p.out.Counters()
	for _, c := range x.by {
		if !c.done && c.to == p && (p.gone || c.nr <= taken.Msgs) {
			c.err, c.done = ErrPeerGone, true
		}
	}
	x.h.waiters.WakeAll()
}

// appendRequestID appends the frames that precede the request of an id.
func appendRequestID(dst []byte, id uint32) []byte {
	dst = append(dst, flow.More, 4)
	dst = binary.NativeEndian.AppendUint32(dst, id)
	return append(dst, flow.More, 0)
}
