package engine

import "log/slog"

// EventKind says what an Event reports.
type EventKind uint8

const (
	// Disconnected means that the connection to the engine broke. It is made again.
	Disconnected EventKind = iota + 1
	// Reconnected means that the connection to the engine is back.
	Reconnected
	// DeadLettered means that a message moved to the dead letters.
	DeadLettered
	// Damaged means that the checksum of a message did not match. The message is
	// not delivered; from a queue it moves to the dead letters.
	Damaged
)

// String returns the kind in lower case.
func (k EventKind) String() string {
	switch k {
	case Disconnected:
		return "disconnected"
	case Reconnected:
		return "reconnected"
	case DeadLettered:
		return "dead letter"
	case Damaged:
		return "damaged"
	}
	return "unknown"
}

// An Event reports what no call returns.
type Event struct {
	Kind       EventKind
	Name       string // of the queue or log; empty for the connection
	Seq        uint64 // position of the message; 0 for the connection
	Deliveries int    // of the message
	Reason     string // of a dead letter, or why the connection broke
}

// Emit logs e and calls o.OnEvent with it.
func (o Options) Emit(e Event) {
	if o.Logger != nil {
		o.Logger.Warn("engine: "+e.Kind.String(),
			slog.String("name", e.Name), slog.Uint64("seq", e.Seq), slog.Int("deliveries", e.Deliveries), slog.String("reason", e.Reason))
	}
	if o.OnEvent != nil {
		o.OnEvent(e)
	}
}
