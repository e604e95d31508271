package dispatch

import (
	"bytes"
	"context"
	"errors"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/protocol"
)

// Receive acts on a message of a worker. conn identifies the connection: a worker
// that connects again with the same routing id is another one.
func (d *Desk) Receive(kind Kind, conn string, m protocol.Message, now time.Time) {
	o, err := protocol.ParseOrder(m.Content)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if err == nil && (kind == Req && o.Verb == protocol.Ready || kind == Dealer && o.Verb == protocol.Next) {
		err = errVerb
	}
	if err != nil {
		d.Counters.Invalid.Add(1)
		d.refuse(kind, m, o.Token, err.Error())
		return
	}
	w := d.worker(kind, conn, m, now)
	switch {
	case w == nil && o.Verb != protocol.Next && o.Verb != protocol.Ready:
		d.late(kind, m, o.Token)
	case w == nil && len(d.workers) >= d.cfg.MaxWorkers:
		d.Counters.Invalid.Add(1)
		d.refuse(kind, m, "", "too many workers")
	case o.Verb == protocol.Next:
		d.next(d.join(w, kind, conn, m, now), m)
	case o.Verb == protocol.Ready:
		w = d.join(w, kind, conn, m, now)
		w.credit = min(o.Credit, d.cfg.MaxCredit)
		d.refresh(w)
		d.handOut()
	case o.Verb == protocol.Progress:
		d.progress(w, m, o)
	default:
		d.finish(w, m, o)
	}
}

var errVerb = errors.New("invalid: READY is for DEALER workers, NEXT for REQ workers")

// worker returns the worker that sent m, nil if it is new. d.mu is held.
func (d *Desk) worker(kind Kind, conn string, m protocol.Message, now time.Time) *worker {
	w := d.workers[key(kind, m.Peer)]
	if w == nil {
		return nil
	}
	if w.conn != conn {
		d.drop(w)
		return nil
	}
	w.seen = now
	return w
}

// join returns w, or a new worker if it is nil. d.mu is held.
func (d *Desk) join(w *worker, kind Kind, conn string, m protocol.Message, now time.Time) *worker {
	if w == nil {
		w = &worker{key: key(kind, m.Peer), conn: conn, kind: kind, held: make(map[string]*held), seen: now}
		d.workers[w.key] = w
	}
	// The frames of a received message may share the memory of a whole read.
	w.address = w.address[:0]
	for _, f := range m.Envelope {
		w.address = append(w.address, bytes.Clone(f))
	}
	return w
}

// next lets a REQ worker wait for a job. It has none: it lost the reply that had
// one, or gave it up. d.mu is held.
func (d *Desk) next(w *worker, m protocol.Message) {
	for token, h := range w.held {
		if !h.finishing {
			delete(w.held, token)
			d.giveBack(h.job)
		}
	}
	w.credit = 1
	d.refresh(w)
	d.handOut()
}

// finish passes an acknowledgement on to the engine. d.mu is held.
func (d *Desk) finish(w *worker, m protocol.Message, o protocol.Order) {
	h := w.held[o.Token]
	if h == nil || h.finishing {
		d.late(w.kind, m, o.Token)
		return
	}
	h.finishing = true
	d.cfg.Start(func(ctx context.Context) error {
		switch o.Verb {
		case protocol.Ack:
			return h.job.Ack(ctx)
		case protocol.Nak:
			return h.job.Nak(o.Delay)
		default:
			return h.job.Term(ctx, o.Reason)
		}
	}, func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.finished(w, h, m, o, err)
	})
}

// finished answers an acknowledgement. d.mu is held.
func (d *Desk) finished(w *worker, h *held, m protocol.Message, o protocol.Order, err error) {
	switch {
	case err == nil:
		d.count(o.Verb)
		delete(w.held, h.token)
		if o.Sync {
			d.reply(w.kind, m, protocol.OK, o.Token)
		}
	case errors.Is(err, engine.ErrLate):
		delete(w.held, h.token)
		d.late(w.kind, m, o.Token)
	default: // the job is still held
		d.Counters.Unavailable.Add(1)
		h.finishing = false
		d.refuse(w.kind, m, o.Token, "unavailable: "+err.Error())
		if w.gone {
			d.giveBack(h.job)
		}
	}
	if err == nil && w.kind == Req && !o.Sync && !w.gone {
		d.join(w, w.kind, w.conn, m, w.seen)
		d.next(w, m)
		return
	}
	d.refresh(w)
	d.handOut()
}

func (d *Desk) count(v protocol.Verb) {
	switch v {
	case protocol.Ack:
		d.Counters.Acked.Add(1)
	case protocol.Nak:
		d.Counters.Nacked.Add(1)
	default:
		d.Counters.Terminated.Add(1)
	}
}

// progress extends the time of a job. While one extension is with the engine,
// further ones are granted with it. d.mu is held.
func (d *Desk) progress(w *worker, m protocol.Message, o protocol.Order) {
	h := w.held[o.Token]
	switch {
	case h == nil || h.finishing:
		d.late(w.kind, m, o.Token)
		return
	case h.extending:
		d.granted(w, m, o.Token)
		return
	}
	h.extending = true
	d.cfg.Start(func(context.Context) error { return h.job.Progress() }, func(err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		h.extending = false
		switch {
		case err == nil:
			d.granted(w, m, o.Token)
		case errors.Is(err, engine.ErrLate):
			d.late(w.kind, m, o.Token)
		default:
			d.Counters.Unavailable.Add(1)
			d.refuse(w.kind, m, o.Token, "unavailable: "+err.Error())
		}
	})
}

// granted confirms a progress to a REQ worker, which waits for a reply.
func (d *Desk) granted(w *worker, m protocol.Message, token string) {
	if w.kind == Req {
		d.reply(w.kind, m, protocol.OK, token)
	}
}

func (d *Desk) late(kind Kind, m protocol.Message, token string) {
	d.Counters.Late.Add(1)
	d.refuse(kind, m, token, "late")
}

func (d *Desk) refuse(kind Kind, m protocol.Message, token, reason string) {
	d.reply(kind, m, protocol.No, token, reason)
}

// reply sends a reply. A worker that does not read its replies loses them.
func (d *Desk) reply(kind Kind, m protocol.Message, content ...string) {
	frames := make([][]byte, len(content))
	for i, c := range content {
		frames[i] = []byte(c)
	}
	if err := d.cfg.Send(kind, m.Reply(frames...)); err != nil {
		d.Counters.Unsent.Add(1)
	}
}
