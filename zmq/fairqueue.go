package zmq

import (
	"slices"

	"lintel.dev/internal/zmq/flow"
)

// fairQueue takes messages from the peers in turn (libzmq's fq). It is the
// receiving part of PULL, SUB, DEALER and others, which deliver messages as
// they arrived, and the queue below that of ROUTER, REP and others, which do
// not. The receive lock protects it.
type fairQueue struct {
	ring   flow.RoundRobin[*pipe]
	filter filter // nil: all messages are delivered
	from   *pipe  // of the message that was received last
}

// A message of more than fairOctets, each frame counting frameCost octets more,
// costs its peer turns: one for each fairOctets more, up to fairTurns. So a peer
// with huge messages, or with messages of many frames, does not delay the small
// messages of the others.
const (
	fairOctets = 8 << 10
	frameCost  = 32
	fairTurns  = 256
)

// charge counts the size of a message that p received.
func (q *fairQueue) charge(p *pipe, octets int) {
	if octets > fairOctets && q.ring.Active() > 1 {
		p.skips = min((octets-1)/fairOctets, fairTurns)
	}
}

// filter drops messages that arrived and are not for the application.
type filter interface {
	// accepts is called with the cursor of p at a message, which it does not move.
	accepts(p *pipe) bool
}

func (q *fairQueue) attach(p *pipe) { q.ring.Add(&p.inTurn) }

// detach leaves p in the queue until the messages that arrived are read.
func (q *fairQueue) detach(*pipe) {}

// isPlain says that a type which embeds a fairQueue delivers messages as they
// arrived.
func (q *fairQueue) isPlain() {}

// front returns the pipe whose turn it is. Its cursor is at a message.
func (q *fairQueue) front() (p *pipe, ok bool) {
	for {
		t, ok := q.ring.Current()
		if !ok {
			return nil, false
		}
		p := t.V
		if p.skips > 0 {
			if p.skips--; q.ring.Active() > 1 {
				q.ring.Next()
				continue
			}
			p.skips = 0
		}
		switch {
		case !p.cur.Done() || p.fill():
			if q.filter == nil || q.filter.accepts(p) {
				return p, true
			}
			p.cur.SkipMessage(flow.More)
			q.ring.Next()
			p.read()
		case p.ended:
			t.Remove()
		default:
			t.Deactivate()
		}
	}
}

// first returns the first frame of the next message. rest, skip or lend must
// follow.
func (q *fairQueue) first() (p *pipe, flags byte, frame []byte, ok bool) {
	if p, ok = q.front(); ok {
		flags, frame = p.cur.Next()
	}
	return p, flags, frame, ok
}

// take reads the message at the cursor of p, whole.
func (q *fairQueue) take(p *pipe) (one []byte, parts Msg) {
	if frame, ok := p.cur.One(); ok {
		q.charge(p, len(frame)+frameCost)
		q.lend(p)
		return frame, nil
	}
	flags, frame := p.cur.Next()
	return q.rest(p, flags, frame)
}

// rest completes a message of which frame was read.
func (q *fairQueue) rest(p *pipe, flags byte, frame []byte) (one []byte, parts Msg) {
	if flags&flow.More == 0 {
		q.charge(p, len(frame)+frameCost)
		q.lend(p)
		return frame, nil
	}
	parts = make(Msg, 1, 3)
	parts[0] = frame
	return nil, q.appendRest(p, flags, parts)
}

// appendRest appends the frames that follow one with these flags.
func (q *fairQueue) appendRest(p *pipe, flags byte, parts Msg) Msg {
	for flags&flow.More != 0 {
		if len(parts) == cap(parts) {
			parts = slices.Grow(parts, p.cur.Frames())
		}
		var frame []byte
		flags, frame = p.cur.Next()
		parts = append(parts, frame)
	}
	q.charge(p, parts.Size()+frameCost*len(parts))
	q.lend(p)
	return parts
}

// skip drops the frames that follow one with these flags.
func (q *fairQueue) skip(p *pipe, flags byte) {
	p.cur.SkipMessage(flags)
	q.done(p)
}

// lend is done for a message whose frames the caller keeps.
func (q *fairQueue) lend(p *pipe) {
	p.lent = true
	q.done(p)
}

// done counts the message of p as read and passes the turn on.
func (q *fairQueue) done(p *pipe) {
	if q.from != p { // spares most messages the write barrier
		q.from = p
	}
	q.ring.Next()
	p.read()
}

func (q *fairQueue) recvMsg() (one []byte, parts Msg, err error) {
	p, ok := q.front()
	if !ok {
		return nil, nil, errAgain
	}
	one, parts = q.take(p)
	return one, parts, nil
}

func (q *fairQueue) canRecv() bool {
	_, ok := q.front()
	return ok
}

// singleFrame is the filter of the types whose messages have one frame. Longer
// ones, which no peer of a matching type sends, count as malformed.
type singleFrame struct{ counter *socketCounters }

func (f singleFrame) accepts(p *pipe) bool {
	if p.cur.More() {
		f.counter.malformed.Add(1)
		return false
	}
	return true
}
