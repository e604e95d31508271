package zmq4

import (
	"runtime"

	"lintel.dev/compat/pebbe/internal/hooks"
	"lintel.dev/zmq"
)

// The types of sockets that package draft has names for.
const (
	server  = Type(hooks.FirstDraft + iota)
	client  // CLIENT
	radio   // RADIO
	dish    // DISH
	gather  // GATHER
	scatter // SCATTER
	dgram   // DGRAM
)

func init() {
	hooks.DefaultContext = defaultContext
	hooks.Send = func(soc any, data []byte, flags int, head []byte) (int, error) {
		return soc.(*Socket).sendHeaded(data, Flag(flags), head)
	}
	hooks.Recv = func(soc any, flags int) (data, head []byte, err error) {
		return soc.(*Socket).recvHeaded(Flag(flags))
	}
	hooks.Do = func(soc any, f func(zmq.Socket) error) error {
		s, err := soc.(*Socket).opened()
		if err != nil {
			return err
		}
		return errnoOf(f(s.Socket), einval)
	}
}

// threadSafe reports whether libzmq allows several threads to use a socket of
// the type. Its messages have one part.
func (t Type) threadSafe() bool { return t >= server && t < dgram }

// headed reports whether the messages of the type have a head, which is the
// first frame of a zmq.Msg: a routing id or a group.
func (t Type) headed() bool { return t == server || t == radio || t == dish }

// socketName returns the name of the type for zmq.New.
func (t Type) socketName() string {
	if t >= server && t <= dgram {
		return hooks.DraftTypes[t-server]
	}
	return t.String()
}

// sendHeaded is SendBytes with the head of the message.
func (soc *Socket) sendHeaded(data []byte, flags Flag, head []byte) (int, error) {
	s, err := soc.opened()
	switch {
	case err != nil:
		return 0, err
	case s.typ.threadSafe():
		err = s.sendSingle(zmq.Msg{data}, flags, head)
	default:
		err = s.sendPart(data, flags)
	}
	runtime.KeepAlive(soc)
	if err != nil {
		return -1, errnoOf(err, ENOTSUP)
	}
	return len(data), nil
}

// sendSingle sends a message of a type whose messages have one part. Without a
// head, that of a SERVER is the routing id 0, which no peer has, and that of a
// RADIO the empty group.
func (s *socket) sendSingle(m zmq.Msg, flags Flag, head []byte) error {
	if len(m) > 1 || flags&SNDMORE != 0 {
		return einval
	}
	if s.typ == server && head == nil {
		head = make([]byte, 4)
	}
	if s.headed {
		m = zmq.Msg{head, m[0]}
	}
	return s.sendWhole(m, flags)
}

// recvHeaded is RecvBytes that also returns the head of the message.
func (soc *Socket) recvHeaded(flags Flag) (data, head []byte, err error) {
	s, err := soc.opened()
	if err != nil {
		return []byte{}, nil, err
	}
	if !s.headed {
		data, err = soc.RecvBytes(flags)
		return data, nil, err
	}
	m, err := s.receive(flags)
	runtime.KeepAlive(soc)
	if err != nil {
		return []byte{}, nil, errnoOf(err, ENOTSUP)
	}
	parts := own(m)
	return parts[1], parts[0], nil
}
