package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Stored is a message that has its number already.
type Stored struct {
	Seq     uint64
	Time    time.Time
	Topic   []byte
	Payload []byte
}

// History is where the messages of a feed are kept outside its Publisher, such as
// a log on disk. Several publishers may have the same History at the same time, or
// one after another: their feeds are one.
type History struct {
	// After is the epoch of the messages and the number of the last one before the
	// first PublishStored. A later epoch must compare greater.
	After Position
	// First returns the number of the oldest message that can be read, one more
	// than the last if there is none. It must not block.
	First func() uint64
	// Read yields the messages from to to, inclusive, in order, until ctx ends. It
	// may leave out messages that cannot be read any more; readers get a Gap for
	// them. It runs beside publication, at most 4 times at once. An error ends it,
	// and the reader asks again.
	Read func(ctx context.Context, from, to uint64) iter.Seq2[Stored, error]
}

func (h *History) check(f Format) error {
	switch {
	case h == nil:
		return nil
	case f != Native:
		return fmt.Errorf("feed: the format %v has no history", f)
	case h.First == nil || h.Read == nil || h.After.Epoch == (Epoch{}):
		return errors.New("feed: a history needs First, Read and an epoch")
	}
	return nil
}

// has reports whether message seq can be read.
func (h *History) has(seq uint64) bool { return h != nil && seq >= h.First() }

// PublishStored publishes the next message of a Publisher with a History. Its
// number must be greater than those before; readers get a Gap for numbers that are
// left out and cannot be read. Ownership and waiting are as for Publish.
func (p *Publisher) PublishStored(m Stored) error {
	if p.cfg.History == nil {
		return errors.New("feed: publish: this feed has no history, see Publish")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case m.Seq <= p.ring.last:
		return fmt.Errorf("feed: publish: number %d after %d", m.Seq, p.ring.last)
	case m.Seq > p.ring.last+1:
		p.ring.restart(m.Seq - 1)
	}
	p.ring.add(entry{seq: m.Seq, time: m.Time, topic: m.Topic, payload: m.Payload})
	if err := p.sendLive(m.Time, m.Topic, m.Seq, [][]byte{m.Payload}); err != nil {
		return fmt.Errorf("feed: publish: %w", err)
	}
	p.notePublished()
	return nil
}

// bounds returns the numbers of the oldest message that can be replayed and of the
// latest.
func (p *Publisher) bounds() (first, last uint64) {
	p.mu.Lock()
	first, last = p.ring.first(), p.ring.last
	p.mu.Unlock()
	if h := p.cfg.History; h != nil {
		first = min(first, h.First())
	}
	return first, last
}

// readHistory sends what the ring does not have any more of r. The ring serves the
// rest.
func (s *replayServer) readHistory(ctx context.Context, r *replay) {
	s.mu.Lock()
	next, to := r.next, r.to
	s.mu.Unlock()
	s.p.mu.Lock()
	to = min(to, s.p.ring.first()-1)
	s.p.mu.Unlock()
	for m, err := range s.p.cfg.History.Read(ctx, next, to) {
		if err != nil {
			s.fail(r, "history failed")
			return
		}
		if m.Seq != next {
			s.finish(r)
			_, last := s.p.bounds()
			s.sendTooOld(r.key.peer, r.key.id, m.Seq, last)
			return
		}
		if s.waitWindow(ctx, r) != nil {
			return // cancelled
		}
		if s.sendEntry(r, entry{seq: m.Seq, time: m.Time, topic: m.Topic, payload: m.Payload}) != nil {
			s.finish(r) // the reader is gone or does not read, and asks again
			return
		}
		next++
		s.mu.Lock()
		r.next = next
		r.sent++
		r.sentOctets += uint64(len(m.Topic) + len(m.Payload))
		s.mu.Unlock()
	}
	if ctx.Err() != nil {
		return // cancelled
	}
	if next <= to { // the last ones cannot be read
		s.finish(r)
		_, last := s.p.bounds()
		s.sendTooOld(r.key.peer, r.key.id, to+1, last)
		return
	}
	s.mu.Lock()
	r.reading = false
	s.mu.Unlock()
	s.kick()
}

// fail ends a request whose messages cannot be read now.
func (s *replayServer) fail(r *replay, reason string) {
	s.mu.Lock()
	current := s.active[r.key] == r
	s.mu.Unlock()
	s.finish(r)
	if current && s.ctx.Err() == nil {
		s.send(r.key.peer, control{cmd: cmdNo, id: r.key.id, payload: []byte(reason)})
	}
}
