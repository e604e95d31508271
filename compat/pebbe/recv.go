package zmq4

import (
	"bytes"
	"errors"
	"runtime"

	"lintel.dev/zmq"
)

// Recv receives a part of a message; GetRcvmore reports whether there are more.
// DONTWAIT returns EAGAIN instead of waiting.
func (soc *Socket) Recv(flags Flag) (string, error) {
	b, err := soc.RecvBytes(flags)
	return string(b), err
}

// RecvBytes is Recv for octets. The slice belongs to the caller, and is empty
// beside an error.
func (soc *Socket) RecvBytes(flags Flag) ([]byte, error) {
	s, err := soc.opened()
	if err != nil {
		return []byte{}, err
	}
	b, err := s.recvPart(flags)
	runtime.KeepAlive(soc)
	if err != nil {
		return []byte{}, errnoOf(err, ENOTSUP)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

// RecvMessage receives a message, or what is left of one that Recv has begun.
// Beside an error it returns an empty slice.
func (soc *Socket) RecvMessage(flags Flag) (msg []string, err error) {
	m, err := soc.recvMessage(flags)
	msg = make([]string, len(m))
	for i, part := range m {
		msg[i] = string(part)
	}
	return msg, err
}

// RecvMessageBytes is RecvMessage for octets. The slices belong to the caller.
func (soc *Socket) RecvMessageBytes(flags Flag) (msg [][]byte, err error) {
	m, err := soc.recvMessage(flags)
	if err != nil {
		return [][]byte{}, err
	}
	return own(m), nil
}

// RecvWithMetadata is Recv that also returns those of the named properties of
// the message that exist, such as Peer-Address, Socket-Type and User-Id.
func (soc *Socket) RecvWithMetadata(flags Flag, properties ...string) (msg string, metadata map[string]string, err error) {
	b, metadata, err := soc.RecvBytesWithMetadata(flags, properties...)
	return string(b), metadata, err
}

// RecvBytesWithMetadata is RecvBytes with metadata; see RecvWithMetadata.
func (soc *Socket) RecvBytesWithMetadata(flags Flag, properties ...string) (msg []byte, metadata map[string]string, err error) {
	s, err := soc.opened()
	if err != nil {
		return []byte{}, map[string]string{}, err
	}
	s.metadata.Store(true)
	msg, err = soc.RecvBytes(flags)
	if err != nil {
		return msg, map[string]string{}, err
	}
	return msg, s.properties(properties), nil
}

// RecvMessageWithMetadata is RecvMessage with metadata; see RecvWithMetadata.
func (soc *Socket) RecvMessageWithMetadata(flags Flag, properties ...string) (msg []string, metadata map[string]string, err error) {
	m, metadata, err := soc.RecvMessageBytesWithMetadata(flags, properties...)
	msg = make([]string, len(m))
	for i, part := range m {
		msg[i] = string(part)
	}
	return msg, metadata, err
}

// RecvMessageBytesWithMetadata is RecvMessageBytes with metadata; see
// RecvWithMetadata.
func (soc *Socket) RecvMessageBytesWithMetadata(flags Flag, properties ...string) (msg [][]byte, metadata map[string]string, err error) {
	s, err := soc.opened()
	if err != nil {
		return [][]byte{}, map[string]string{}, err
	}
	s.metadata.Store(true)
	msg, err = soc.RecvMessageBytes(flags)
	if err != nil {
		return msg, map[string]string{}, err
	}
	return msg, s.properties(properties), nil
}

// recvPart returns the next part. It is the caller's alone: a small one that
// shared memory with others would keep all of it from being freed.
func (s *socket) recvPart(flags Flag) ([]byte, error) {
	switch {
	case s.more.Load():
		return bytes.Clone(s.nextPart()), nil
	case s.in == nil:
		return nil, zmq.ErrNotSupported
	case flags&DONTWAIT == 0 && !s.metadata.Load() && !s.headed:
		b, err := s.in.RecvInto(background, nil)
		if err != nil {
			return s.beginSeveral(err)
		}
		if s.lockstep {
			s.answering.Store(s.typ == REP)
		}
		return b, nil
	}
	m, err := s.recvWhole(flags)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(s.begin(m)), nil
}

// beginSeveral returns the first part of the message of a *zmq.MultipartError, or
// another error. It is a function of its own because errors.As allocates.
func (s *socket) beginSeveral(err error) ([]byte, error) {
	var several *zmq.MultipartError
	if errors.As(err, &several) {
		return bytes.Clone(s.begin(several.Msg)), nil
	}
	return nil, err
}

// recvMessage returns the parts that are left of a message that was begun, or
// else the next message.
func (soc *Socket) recvMessage(flags Flag) (zmq.Msg, error) {
	s, err := soc.opened()
	if err != nil {
		return nil, err
	}
	if s.more.Load() {
		return s.rest(), nil
	}
	m, err := s.recvWhole(flags)
	runtime.KeepAlive(soc)
	return m, errnoOf(err, ENOTSUP)
}

// recvWhole receives a message, without its head.
func (s *socket) recvWhole(flags Flag) (zmq.Msg, error) {
	m, err := s.receive(flags)
	if err == nil && s.headed {
		m = m[1:]
	}
	return m, err
}

// receive receives a message, with its head.
func (s *socket) receive(flags Flag) (m zmq.Msg, err error) {
	switch {
	case s.in == nil:
		return nil, zmq.ErrNotSupported
	case s.metadata.Load():
		m, err = s.recvFrom(flags)
	case flags&DONTWAIT != 0:
		m, err = s.in.TryRecv()
	default:
		m, err = s.in.Recv(background)
	}
	if err == nil && s.lockstep {
		s.answering.Store(s.typ == REP)
	}
	return m, err
}

// recvFrom receives a message and keeps its metadata.
func (s *socket) recvFrom(flags Flag) (zmq.Msg, error) {
	ctx := background
	if flags&DONTWAIT != 0 {
		ctx = noWait
	}
	m, from, err := s.in.RecvFrom(ctx)
	if err == nil {
		s.mu.Lock()
		s.from = from.Properties
		s.mu.Unlock()
	}
	return m, err
}

// properties returns those of the named properties that the last message has.
func (s *socket) properties(names []string) map[string]string {
	s.mu.Lock()
	from := s.from
	s.mu.Unlock()
	found := make(map[string]string)
	for _, name := range names {
		key := name
		if key == "Routing-Id" {
			key = "Identity"
		}
		if v, ok := from[key]; ok {
			found[name] = v
		}
	}
	return found
}

// begin returns the first part of a message and keeps the others.
func (s *socket) begin(m zmq.Msg) []byte {
	if s.lockstep {
		s.answering.Store(s.typ == REP)
	}
	if len(m) > 1 {
		s.mu.Lock()
		s.unread = m[1:]
		s.more.Store(true)
		s.mu.Unlock()
	}
	return m[0]
}

// nextPart returns the next part that begin has kept.
func (s *socket) nextPart() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unread) == 0 { // another goroutine has taken it
		return nil
	}
	part := s.unread[0]
	s.unread = s.unread[1:]
	s.more.Store(len(s.unread) > 0)
	return part
}

// rest returns all parts that begin has kept.
func (s *socket) rest() zmq.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.unread
	s.unread = nil
	s.more.Store(false)
	return m
}

// small is the size up to which received parts may share memory with other
// messages.
const small = 4 << 10

// own makes the small parts of m the caller's alone, in one piece of memory.
func own(m zmq.Msg) [][]byte {
	n := 0
	for _, part := range m {
		if len(part) <= small {
			n += len(part)
		}
	}
	buf := make([]byte, 0, n)
	parts := make([][]byte, len(m))
	for i, part := range m {
		if len(part) > small {
			parts[i] = part
			continue
		}
		from := len(buf)
		buf = append(buf, part...)
		parts[i] = buf[from:len(buf):len(buf)]
	}
	return parts
}
