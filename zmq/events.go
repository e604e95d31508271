package zmq

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/zmq/event"
)

// eventLog copies events to the sequences that Socket.Events returned.
type eventLog struct {
	// failure is the last failed attempt to connect, nil after one succeeded.
	failure atomic.Pointer[event.Event]
	lines   logLimit

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

// failed notes that an attempt to connect failed, connected that one succeeded.
func (l *eventLog) failed(e event.Event) { l.failure.Store(&e) }

func (l *eventLog) connected() {
	if l.failure.Load() != nil { // spares most connections a write
		l.failure.Store(nil)
	}
}

// explain adds the last failed attempt to connect to the error of a call that
// waited in vain.
func (l *eventLog) explain(err error) error {
	e := l.failure.Load()
	if e == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &timeoutError{err, e}
}

// timeoutError is the error of a call that waited while an endpoint could not be
// connected.
type timeoutError struct {
	err     error // context.DeadlineExceeded or ErrWouldBlock
	failure *event.Event
}

func (e *timeoutError) Error() string {
	what := e.failure.Type.String()
	if e.failure.Type == event.Closed {
		what = "not connected"
	}
	return fmt.Sprintf("%v; %s: %s: %v", e.err, e.failure.Endpoint, what, e.failure.Err)
}

func (e *timeoutError) Unwrap() []error { return []error{e.err, e.failure.Err} }

// Timeout returns true, as net.Error has it.
func (e *timeoutError) Timeout() bool { return true }

func (s *core) emit(e event.Event) {
	s.events.emit(e)
	if s.logger != nil {
		s.log(e)
	}
}

// log writes an event to the logger: failures at level Warn, others at Debug.
func (s *core) log(e event.Event) {
	level := slog.LevelDebug
	switch e.Type {
	case event.BindFailed, event.AcceptFailed, event.CloseFailed, event.HandshakeFailed,
		event.HandshakeProtocol, event.HandshakeAuth, event.DuplicateID, event.MulticastLoss:
		level = slog.LevelWarn
	}
	if !s.logger.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("socket", s.typ.String()), slog.String("endpoint", e.Endpoint)}
	if level == slog.LevelWarn {
		write, left := s.events.lines.take(e.Type, e.Endpoint)
		if !write {
			return
		}
		if left > 0 {
			attrs = append(attrs, slog.Int("suppressed", left))
		}
	}
	if e.Remote != "" {
		attrs = append(attrs, slog.String("peer", e.Remote))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	s.logger.LogAttrs(context.Background(), level, "zmq: "+e.Type.String(), attrs...)
}

// A failure that repeats, such as a client that is refused again and again, is
// logged logBurst times and then once in logInterval, with the number of lines
// that were left out.
const (
	logBurst    = 5
	logInterval = 10 * time.Second
	maxLogKinds = 1000 // types and endpoints counted; with more the counts begin anew
)

// logLimit bounds the lines for each type of event and endpoint.
type logLimit struct {
	mu    sync.Mutex
	kinds map[logKind]*logCount // protected by mu
}

type logKind struct {
	typ      event.Type
	endpoint string
}

type logCount struct {
	start      time.Time // of the current interval
	written    int       // lines in the current interval
	suppressed int       // lines left out since the last one
	limited    bool      // the burst is used up
}

// take reports whether a line may be written, and how many were left out before
// it. The burst is available again after an interval without a line.
func (l *logLimit) take(typ event.Type, endpoint string) (write bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = make(map[logKind]*logCount)
	}
	c := l.kinds[logKind{typ, endpoint}]
	if c == nil {
		if len(l.kinds) == maxLogKinds {
			clear(l.kinds)
		}
		c = new(logCount)
		l.kinds[logKind{typ, endpoint}] = c
	}
	if now := time.Now(); now.Sub(c.start) >= logInterval {
		c.limited = c.suppressed > 0
		c.start, c.written = now, 0
	}
	most := logBurst
	if c.limited {
		most = 1
	}
	if c.written >= most {
		c.suppressed++
		return false, 0
	}
	c.written++
	suppressed, c.suppressed = c.suppressed, 0
	return true, suppressed
}
