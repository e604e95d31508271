package zmq

import (
	"context"
	"log/slog"
)

// logEvent writes an event to a logger: what failed as a warning, the rest
// for debugging.
func logEvent(l *slog.Logger, t Type, e Event) {
	level := slog.LevelDebug
	switch e.Type {
	case EventBindFailed, EventAcceptFailed, EventCloseFailed, EventHandshakeFailed,
		EventHandshakeProtocol, EventHandshakeAuth, EventDuplicateID, EventMulticastLoss:
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
