package zmq

import "context"

// Receiving without copies. frames lends each message to the loop body and
// takes it back before the next one, so that the memory of a batch is used
// again when no view of it is left. As long as one peer alone has messages, a
// message costs one lock and the parsing of its header.

// view is a frame that is lent to the application.
type view struct {
	from  *pipe
	batch uint64
}

func (v view) end() {
	if v.from != nil && v.from.batch == v.batch {
		v.from.views--
	}
}

// frames yields messages of one frame until an error, which it yields too.
func (h *recvHalf) frames(ctx context.Context, yield func([]byte, error) bool) {
	if !h.plain {
		for {
			b, err := h.recvBytes(ctx)
			if !yield(b, err) || err != nil {
				return
			}
			release(b)
		}
	}
	var v view
	for {
		h.Lock()
		frame, ok := h.nextOf(v)
		if !ok {
			v.end()
		}
		h.Unlock()
		var err error
		if !ok {
			frame, v, err = h.nextView(ctx)
		}
		if !yield(frame, err) || err != nil {
			h.Lock()
			v.end()
			h.Unlock()
			return
		}
		release(frame)
	}
}

// nextOf returns the next message of the batch that v is a view of, if nothing
// else is due: another peer, another receiver, or a producer to be resumed.
// The lock is held.
func (h *recvHalf) nextOf(v view) (frame []byte, ok bool) {
	p := v.from
	if p == nil || h.fq.from != p || p.batch != v.batch || h.fq.ring.Active() != 1 ||
		h.err != nil || len(h.reopened) > 0 || h.waiters.Any() || p.cur.Done() {
		return nil, false
	}
	if h.fq.filter != nil && !h.fq.filter.accepts(p) {
		return nil, false
	}
	if frame, ok = p.cur.Short(); !ok {
		frame, ok = p.cur.One()
	}
	if ok {
		p.read()
	}
	return frame, ok
}

// nextView receives a message of one frame and lends it.
func (h *recvHalf) nextView(ctx context.Context) ([]byte, view, error) {
	m, err := h.lockNext(ctx)
	if err != nil {
		return nil, view{}, err
	}
	p := m.p
	frame, ok := p.cur.One()
	if !ok {
		_, parts := h.fq.take(p)
		h.unlock()
		return nil, view{}, &MultipartError{Msg: parts}
	}
	h.fq.charge(p, len(frame)+frameCost)
	p.views++
	v := view{p, p.batch}
	h.fq.done(p)
	h.unlock()
	return frame, v, nil
}
