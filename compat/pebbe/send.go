package zmq4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"lintel.dev/zmq"
)

// Send sends a part of a message: with SNDMORE one that is not the last. It
// returns the number of octets, or -1 with an error. DONTWAIT returns EAGAIN
// instead of waiting.
func (soc *Socket) Send(data string, flags Flag) (int, error) {
	return soc.SendBytes(octets(data), flags)
}

// SendBytes is Send for octets. They may be changed afterwards.
func (soc *Socket) SendBytes(data []byte, flags Flag) (int, error) {
	s, err := soc.opened()
	if err != nil {
		return 0, err
	}
	if flags == 0 && s.direct && !s.partial.Load() {
		err = s.out.SendBytes(background, data)
	} else {
		err = s.sendPart(data, flags)
	}
	runtime.KeepAlive(soc)
	if err != nil {
		return -1, errnoOf(err, ENOTSUP)
	}
	return len(data), nil
}

// SendMessage sends a message. The elements of a []string or [][]byte are parts;
// any other value is one, with fmt's %v unless it is a string or []byte. It
// returns the number of octets, or -1 with an error. Without a part it sends
// nothing.
func (soc *Socket) SendMessage(parts ...interface{}) (total int, err error) {
	return soc.sendMessage(0, parts)
}

// SendMessageDontwait is SendMessage that returns EAGAIN instead of waiting.
func (soc *Socket) SendMessageDontwait(parts ...interface{}) (total int, err error) {
	return soc.sendMessage(DONTWAIT, parts)
}

// messages are reused, because sending copies them.
var messages = sync.Pool{New: func() any { return new(zmq.Msg) }}

func (soc *Socket) sendMessage(flags Flag, parts []any) (total int, err error) {
	pooled := messages.Get().(*zmq.Msg)
	m := (*pooled)[:0]
	defer func() {
		clear(m)
		*pooled = m
		messages.Put(pooled)
	}()
	for _, part := range parts {
		switch t := part.(type) {
		case string:
			m = append(m, octets(t))
		case []byte:
			m = append(m, t)
		case []string:
			for _, x := range t {
				m = append(m, octets(x))
			}
		case [][]byte:
			m = append(m, t...)
		default:
			m = append(m, fmt.Append(nil, t))
		}
	}
	if len(m) == 0 {
		return 0, nil
	}
	s, err := soc.opened()
	if err != nil {
		return -1, err
	}
	err = s.sendMsg(m, flags)
	runtime.KeepAlive(soc)
	if err != nil {
		return -1, errnoOf(err, ENOTSUP)
	}
	return m.Size(), nil
}

// sendMsg sends all parts that a message still needs.
func (s *socket) sendMsg(m zmq.Msg, flags Flag) error {
	if s.typ.threadSafe() {
		return s.sendSingle(m, flags, nil)
	}
	if s.partial.Load() {
		s.mu.Lock()
		whole := append(s.unsent, m...)
		s.unsent = nil
		s.partial.Store(false)
		s.mu.Unlock()
		return s.sendWhole(whole, flags)
	}
	return s.sendWhole(m, flags)
}

// sendPart sends one part, or keeps it until the last one is sent.
func (s *socket) sendPart(data []byte, flags Flag) error {
	if flags&SNDMORE == 0 || s.typ.threadSafe() {
		return s.sendMsg(zmq.Msg{data}, flags)
	}
	if !s.partial.Load() {
		if err := s.mayBegin(data, flags); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.unsent = append(s.unsent, bytes.Clone(data))
	s.partial.Store(true)
	s.mu.Unlock()
	return nil
}

func (s *socket) sendWhole(m zmq.Msg, flags Flag) (err error) {
	switch {
	case s.out == nil:
		return zmq.ErrNotSupported
	case s.lockstep && s.more.Load():
		return EFSM // the request or reply is not read to its end
	case s.typ == dgram && len(m) != 2:
		return einval // not an address and a datagram
	case flags&DONTWAIT != 0:
		err = s.out.TrySend(m)
	default:
		err = s.out.Send(background, m)
	}
	if err == nil && s.lockstep {
		s.answering.Store(s.typ == REQ)
	}
	return err
}

// mayBegin decides about a message of several parts at its first part, as
// libzmq does: later parts fail only if the peer has gone since.
func (s *socket) mayBegin(first []byte, flags Flag) error {
	switch {
	case s.out == nil:
		return zmq.ErrNotSupported
	case s.typ == REQ && s.answering.Load() && !s.relaxed.Load(),
		s.typ == REP && !s.answering.Load(),
		s.lockstep && s.more.Load():
		return EFSM
	case s.typ == ROUTER && s.mandatory.Load():
		if r, ok := s.Socket.(*zmq.Router); ok && !r.HasPeer(first) {
			return EHOSTUNREACH
		}
		return nil
	}
	wait := s.sndtimeo.Load()
	if flags&DONTWAIT != 0 {
		wait = 0
	}
	if wait < 0 || s.state(POLLOUT) != 0 {
		return nil
	}
	return s.awaitRoom(time.Duration(wait) * time.Millisecond)
}

// awaitRoom waits until a message can be sent.
func (s *socket) awaitRoom(d time.Duration) error {
	if d == 0 {
		return eagain
	}
	var p zmq.Poller
	defer p.Close()
	if err := p.Set(pollItem(s, POLLOUT)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(background, d)
	defer cancel()
	_, err := p.Wait(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return eagain
	case err == nil && s.closed.Load() || s.group.isTerminated():
		return ETERM
	}
	return err
}

// octets returns the octets of a string without a copy. They are only given to
// calls that copy them and never write to them.
func octets(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
