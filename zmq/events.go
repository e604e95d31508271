package zmq

import (
	"context"
	"iter"
	"sync"
	"time"
)

// EventType says what happened; the values and their meanings are those of
// libzmq's socket monitor.
type EventType uint32

// The events.
const (
	EventConnected          EventType = 0x0001 // a connection was made
	EventConnectDelayed     EventType = 0x0002 // an attempt to connect has begun and takes its time
	EventConnectRetried     EventType = 0x0004 // Interval passes before the next attempt
	EventListening          EventType = 0x0008
	EventBindFailed         EventType = 0x0010
	EventAccepted           EventType = 0x0020
	EventAcceptFailed       EventType = 0x0040
	EventClosed             EventType = 0x0080 // we closed a connection or a listener
	EventCloseFailed        EventType = 0x0100
	EventDisconnected       EventType = 0x0200 // an established connection broke
	EventMonitorStopped     EventType = 0x0400 // the socket is closed: the last event
	EventHandshakeFailed    EventType = 0x0800 // without a word from the peer
	EventHandshakeSucceeded EventType = 0x1000
	EventHandshakeProtocol  EventType = 0x2000 // the peer broke the protocol: Status has libzmq's code
	EventHandshakeAuth      EventType = 0x4000 // refused: Status has the ZAP status
	// EventDuplicateID is ours: a peer was turned away because its routing id
	// is taken.
	EventDuplicateID EventType = 0x10000000
	// EventMulticastLoss is ours: Packets of a multicast group will never
	// come; the messages in them are lost.
	EventMulticastLoss EventType = 0x20000000
)

var eventNames = map[EventType]string{
	EventConnected: "connected", EventConnectDelayed: "connect delayed", EventConnectRetried: "connect retried",
	EventListening: "listening", EventBindFailed: "bind failed", EventAccepted: "accepted",
	EventAcceptFailed: "accept failed", EventClosed: "closed", EventCloseFailed: "close failed",
	EventDisconnected: "disconnected", EventMonitorStopped: "monitor stopped",
	EventHandshakeFailed: "handshake failed", EventHandshakeSucceeded: "handshake succeeded",
	EventHandshakeProtocol: "handshake failed: protocol", EventHandshakeAuth: "handshake failed: auth",
	EventDuplicateID: "duplicate routing id", EventMulticastLoss: "multicast loss",
}

// String names the event.
func (t EventType) String() string {
	if n, ok := eventNames[t]; ok {
		return n
	}
	return "unknown event"
}

// Event is something that happened to a connection or listener.
type Event struct {
	Type     EventType
	Time     time.Time
	Endpoint string        // as Endpoint.Addr has it
	Local    string        // our address of the connection, if there is one
	Remote   string        // the peer's
	Interval time.Duration // of EventConnectRetried
	Status   uint32        // of the EventHandshake... types
	Err      error         // why, if there is a reason
	Packets  int           // of EventMulticastLoss
	Lost     int           // events missed before this one by a slow reader
}

// eventLog hands events to whoever listens.
type eventLog struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	subs   map[*eventSub]struct{}
	closed bool
}

// eventBuffer is how many events a slow reader can be behind.
const eventBuffer = 1024

type eventSub struct {
	events []Event
	lost   int
	wake   chan struct{}
	ended  bool
}

func (l *eventLog) emit(e Event) {
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

func (s *eventSub) add(e Event) {
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
	l.emit(Event{Type: EventMonitorStopped})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for s := range l.subs {
		s.ended = true
		s.signal()
	}
	l.subs = nil
}

func (l *eventLog) subscribe(ctx context.Context) iter.Seq[Event] {
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
	return func(yield func(Event) bool) {
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
