package zmq

import (
	"strconv"
	"testing"

	"lintel.dev/zmq/event"
)

// Endpoints that are tried once each do not add up.
func TestLogLimitIsBounded(t *testing.T) {
	var l logLimit
	for i := range 3 * maxLogKinds {
		if write, _ := l.take(event.ConnectRetried, strconv.Itoa(i)); !write {
			t.Fatalf("the first line of endpoint %d is left out", i)
		}
	}
	if n := len(l.kinds); n > maxLogKinds {
		t.Errorf("%d endpoints are kept, want at most %d", n, maxLogKinds)
	}
}
