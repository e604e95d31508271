package zmq

import (
	"context"

	"lintel.dev/internal/zmq/flow"
)

// sendBytes is sendMsg of one frame. With a lone peer there is no choice to
// make, and so no need for the send lock: if the peer has just gone, its queue
// is closed or its messages count as sent before.
func (s *core) sendBytes(ctx context.Context, b []byte) error {
	if p := s.solo.Load(); p != nil {
		switch p.out.AppendOne(b) {
		case flow.Queued:
			return nil
		case flow.Wake:
			p.kick()
			return nil
		}
	}
	return s.sendMsg(ctx, flow.Message{One: b})
}

// findSolo follows a change of the pipes to send to. The send lock is held.
func (s *core) findSolo() {
	var p *pipe
	if s.robin && s.failed == nil && s.lb.Len() == 1 {
		for p = range s.lb.All {
			break
		}
	}
	s.solo.Store(p)
}

// next returns the pipe whose turn it is and the next message if there is one
// and it is of one frame. took must follow then. The receive lock is held.
func (s *core) next(ctx context.Context) (p *pipe, frame []byte, ok bool) {
	for {
		seat, ok := s.fq.Current()
		if !ok || s.recvFailed != nil {
			return nil, nil, false
		}
		p = seat.V
		if p.cur.Done() {
			if s.gather(ctx) {
				continue
			}
			if !s.fairReady() {
				return nil, nil, false
			}
			seat, _ = s.fq.Current()
			p = seat.V
		}
		frame, ok = p.cur.One()
		if !ok || s.wants(frame) {
			return p, frame, ok
		}
		s.fq.Next()
		p.read()
	}
}

// wants tells whether the socket lets a message that arrived pass. The receive
// lock is held.
func (s *core) wants(topic []byte) bool { return s.sub == nil || s.sub.wanted(topic) }

// took passes the turn on after next. It releases the receive lock.
func (s *core) took(p *pipe) {
	if s.from != p {
		s.from = p
	}
	s.fq.Next()
	p.read()
	if len(s.reopened) > 0 || s.canRecv.Any() {
		s.received()
	}
	s.recv.Unlock()
}

// recvBytes is recvMsg of one frame.
func (s *core) recvBytes(ctx context.Context) ([]byte, error) {
	if s.fair {
		s.recv.Lock()
		if p, frame, ok := s.next(ctx); ok {
			p.lent = true
			s.took(p)
			return frame, nil
		}
		s.recv.Unlock()
	}
	b, m, err := s.recvMsg(ctx, false, nil)
	if err != nil || m == nil {
		return b, err
	}
	if len(m) == 1 {
		return m[0], nil
	}
	return nil, &MultipartError{Msg: m}
}

// frames yields messages of one frame. What it yields is the socket's: before
// it takes the next message it gives the one before back, and the memory of a
// batch of which nobody keeps a view is used again.
func (s *core) frames(ctx context.Context, yield func([]byte, error) bool) {
	if !s.fair {
		for {
			b, err := s.recvBytes(ctx)
			if !yield(b, err) || err != nil {
				return
			}
			release(b)
		}
	}
	var v view
	for {
		var frame []byte
		var err error
		s.recv.Lock()
		if p := v.from; p != nil && s.calm() && s.from == p && p.batch == v.batch {
			frame, ok := p.cur.Short()
			if !ok {
				frame, ok = p.cur.One()
			}
			for ok && s.sub != nil && !s.sub.wanted(frame) {
				p.read()
				frame, ok = p.cur.One()
			}
			if ok {
				p.read()
				s.recv.Unlock()
				if !yield(frame, nil) {
					s.endView(v)
					return
				}
				release(frame)
				continue
			}
		}
		frame, v, err = s.nextView(ctx, v)
		if !yield(frame, err) || err != nil {
			s.endView(v)
			return
		}
		release(frame)
	}
}

// view is a frame that is lent for a while.
type view struct {
	from  *pipe
	batch uint64
}

// calm tells that one pipe alone has its turn and nothing else is due. The
// receive lock is held.
func (s *core) calm() bool {
	return s.fq.Active() == 1 && s.recvFailed == nil && len(s.reopened) == 0 && !s.canRecv.Any()
}

func (v view) end() {
	if v.from != nil && v.from.batch == v.batch {
		v.from.views--
	}
}

func (s *core) endView(v view) {
	s.recv.Lock()
	v.end()
	s.recv.Unlock()
}

// nextView takes v back and lends the next frame. The receive lock is held,
// and released.
func (s *core) nextView(ctx context.Context, v view) ([]byte, view, error) {
	v.end()
	var lingered bool
	for {
		p, frame, ok := s.next(ctx)
		if ok {
			p.views++
			v = view{p, p.batch}
			s.took(p)
			return frame, v, nil
		}
		if p != nil || s.recvFailed != nil {
			s.recv.Unlock()
			frame, err := s.recvBytes(ctx)
			return frame, view{}, err
		}
		if err := s.awaitMsg(ctx, &lingered); err != nil {
			s.recv.Unlock()
			return nil, view{}, err
		}
	}
}

// recvInto is recvBytes that appends the message to buf. It copies small
// frames with the lock held, so that their memory can be used again as soon as
// the batch is read.
func (s *core) recvInto(ctx context.Context, buf []byte) ([]byte, error) {
	if s.fair {
		s.recv.Lock()
		var lingered bool
		for {
			p, frame, ok := s.next(ctx)
			if ok && len(frame) < flow.LargeFrame {
				buf = append(buf, frame...)
				s.took(p)
				return buf, nil
			}
			if ok {
				p.lent = true
				s.took(p)
				buf = append(buf, frame...)
				release(frame)
				return buf, nil
			}
			if p != nil || s.recvFailed != nil {
				break
			}
			if err := s.awaitMsg(ctx, &lingered); err != nil {
				s.recv.Unlock()
				return buf, err
			}
		}
		s.recv.Unlock()
	}
	b, err := s.recvBytes(ctx)
	if err != nil {
		return buf, err
	}
	buf = append(buf, b...)
	release(b)
	return buf, nil
}
