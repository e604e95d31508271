package zmqcli

import (
	"errors"
	"testing"
	"time"

	"lintel.dev/zmq/event"
)

// Every field of an event that has something to say is in its line.
func TestEventLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		event      event.Event
		text, json string
	}{
		{
			event.Event{Type: event.ConnectRetried, Time: at, Endpoint: "tcp://a:1", Interval: 1500 * time.Microsecond, Lost: 2},
			"2026-01-02T03:04:05Z connect retried endpoint=tcp://a:1 interval=1.5ms lost=2",
			`{"time":"2026-01-02T03:04:05Z","event":"connect retried","code":4,"endpoint":"tcp://a:1","interval_ms":1.5,"lost":2}`,
		},
		{
			event.Event{Type: event.HandshakeAuth, Time: at, Local: "a:1", Remote: "b:2", Status: 400, Err: errors.New("denied")},
			`2026-01-02T03:04:05Z handshake failed: auth local=a:1 remote=b:2 status=400 error="denied"`,
			`{"time":"2026-01-02T03:04:05Z","event":"handshake failed: auth","code":16384,"local":"a:1","remote":"b:2","status":400,"error":"denied"}`,
		},
		{
			event.Event{Type: event.MulticastLoss, Time: at, Endpoint: "epgm://a", Packets: 7},
			"2026-01-02T03:04:05Z multicast loss endpoint=epgm://a packets=7",
			`{"time":"2026-01-02T03:04:05Z","event":"multicast loss","code":536870912,"endpoint":"epgm://a","packets":7}`,
		},
	} {
		if got := eventText(c.event); got != c.text {
			t.Errorf("got  %s\nwant %s", got, c.text)
		}
		if got := eventJSON(c.event); got != c.json {
			t.Errorf("got  %s\nwant %s", got, c.json)
		}
	}
}
