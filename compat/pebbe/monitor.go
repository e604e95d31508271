package zmq4

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"strings"
	"syscall"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// monitor sends the events of a socket to a PAIR.
type monitor struct {
	events Event
	pair   *zmq.Pair
	// stop ends the events, and the wait for a reader.
	stop func()
}

// Monitor binds a PAIR at an inproc address, in the context of the socket. It
// sends the events of the socket; RecvEvent receives them from a PAIR that is
// connected. An empty address ends the monitor.
func (soc *Socket) Monitor(addr string, events Event) error {
	s, err := soc.opened()
	if err != nil {
		return err
	}
	var m *monitor
	if addr != "" {
		if !strings.HasPrefix(addr, "inproc://") {
			return EPROTONOSUPPORT
		}
		if m, err = s.startMonitor(addr, events); err != nil {
			return errnoOf(err, einval)
		}
	}
	s.mu.Lock()
	old := s.monitor
	s.monitor = m
	s.mu.Unlock()
	if old != nil {
		old.stop()
	}
	return nil
}

func (s *socket) startMonitor(addr string, events Event) (*monitor, error) {
	pair, err := zmq.NewPair(zmq.InContext(&s.group.z), zmq.WithLinger(0))
	if err != nil {
		return nil, err
	}
	if _, err := pair.Bind(addr); err != nil {
		return nil, errors.Join(err, pair.Close())
	}
	live, stop := context.WithCancel(context.Background())
	m := &monitor{events, pair, stop}
	go m.run(live, s.Events(live)) // subscribed before Monitor returns
	return m, nil
}

// run sends events until the socket is closed or stop was called, and then what
// the reader has room for.
func (m *monitor) run(live context.Context, events iter.Seq[event.Event]) {
	defer m.pair.Close()
	for e := range events {
		if !m.send(live, Event(e.Type), e) {
			return
		}
		if e.Type == event.MonitorStopped {
			return
		}
	}
	m.send(live, EVENT_MONITOR_STOPPED, event.Event{})
}

// send sends an event unless it is filtered out, and reports whether the monitor
// goes on. After stop it does not wait.
func (m *monitor) send(live context.Context, typ Event, e event.Event) bool {
	if typ&EVENT_ALL&m.events == 0 {
		return true
	}
	head := binary.NativeEndian.AppendUint16(nil, uint16(typ))
	head = binary.NativeEndian.AppendUint32(head, eventValue(e))
	msg := zmq.Msg{head, []byte(e.Endpoint)}
	err := m.pair.Send(live, msg)
	if errors.Is(err, context.Canceled) {
		err = m.pair.TrySend(msg)
	}
	return err == nil
}

// eventValue returns the value of an event: an interval in milliseconds, a
// status, or an error number. Where libzmq has a descriptor it is 0.
func eventValue(e event.Event) uint32 {
	switch e.Type {
	case event.ConnectDelayed:
		return uint32(EINPROGRESS)
	case event.ConnectRetried:
		return uint32(e.Interval / time.Millisecond)
	case event.HandshakeProtocol, event.HandshakeAuth:
		return e.Status
	case event.BindFailed, event.AcceptFailed, event.CloseFailed, event.HandshakeFailed:
		var system syscall.Errno
		if errors.As(e.Err, &system) {
			return uint32(system)
		}
	}
	return 0
}

// RecvEvent receives an event from a monitor: its kind, the endpoint, and a value
// that depends on the kind.
func (soc *Socket) RecvEvent(flags Flag) (event_type Event, addr string, value int, err error) {
	if _, err := soc.opened(); err != nil {
		return EVENT_ALL, "", 0, err
	}
	head, err := soc.RecvBytes(flags)
	if err != nil {
		return 0, "", 0, err
	}
	if more, err := soc.GetRcvmore(); err != nil || !more {
		return 0, "", 0, first(err, func() error { return ErrorMoreExpected })
	}
	if addr, err = soc.Recv(flags); err != nil {
		return 0, "", 0, err
	}
	if len(head) < 6 {
		return 0, "", 0, einval
	}
	value = int(int32(binary.NativeEndian.Uint32(head[2:])))
	return Event(binary.NativeEndian.Uint16(head)), addr, value, nil
}
