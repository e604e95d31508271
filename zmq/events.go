package zmq

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"lintel.dev/internal/zmq/zmtp"
	"lintel.dev/zmq/event"
)

// eventLog copies events to the sequences that Socket.Events returned.
type eventLog struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	subs   map[*eventSub]struct{}
	closed bool
}

// eventBuffer is how many events a reader can be behind.
const eventBuffer = 1024

type eventSub struct {
	events []event.Event
	lost   int
	wake   chan struct{}
	ended  bool
}

func (l *eventLog) emit(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.subs) == 0 {
		return
	}
	e.Time = time.Now()
	for s := range l.subs {
		s.add(e)
	}
}

func (s *eventSub) add(e event.Event) {
	if len(s.events) >= eventBuffer {
		s.events = s.events[1:]
		s.lost++
	}
	s.events = append(s.events, e)
	s.signal()
}

func (s *eventSub) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close ends all sequences after the events they still hold.
func (l *eventLog) close() {
	l.emit(event.Event{Type: event.MonitorStopped})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for s := range l.subs {
		s.ended = true
		s.signal()
	}
	l.subs = nil
}

func (l *eventLog) subscribe(ctx context.Context) iter.Seq[event.Event] {
	s := &eventSub{wake: make(chan struct{}, 1)}
	l.mu.Lock()
	if l.closed {
		s.ended = true
	} else {
		if l.subs == nil {
			l.subs = make(map[*eventSub]struct{})
		}
		l.subs[s] = struct{}{}
	}
	l.mu.Unlock()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, s)
		s.ended = true
		s.signal()
	})
	return func(yield func(event.Event) bool) {
		for {
			l.mu.Lock()
			if len(s.events) == 0 && !s.ended {
				l.mu.Unlock()
				<-s.wake
				continue
			}
			if len(s.events) == 0 {
				l.mu.Unlock()
				return
			}
			e := s.events[0]
			e.Lost, s.lost = s.lost, 0
			s.events = s.events[1:]
			l.mu.Unlock()
			if !yield(e) {
				return
			}
		}
	}
}

func (s *core) emit(e event.Event) {
	s.events.emit(e)
	if l := s.logger; l != nil {
		logEvent(l, s.typ, e)
	}
}

// logEvent writes an event to a logger: failures at level Warn, others at Debug.
func logEvent(l *slog.Logger, t zmtp.SocketType, e event.Event) {
	level := slog.LevelDebug
	switch e.Type {
	case event.BindFailed, event.AcceptFailed, event.CloseFailed, event.HandshakeFailed,
		event.HandshakeProtocol, event.HandshakeAuth, event.DuplicateID, event.MulticastLoss:
		level = slog.LevelWarn
	}
	if !l.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("socket", t.String()), slog.String("endpoint", e.Endpoint)}
	if e.Remote != "" {
		attrs = append(attrs, slog.String("peer", e.Remote))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	l.LogAttrs(context.Background(), level, "zmq: "+e.Type.String(), attrs...)
}
