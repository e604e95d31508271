package perfcli

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// TestSecondGoroutine has every set without sockets stored, and ends with its
// context.
func TestSecondGoroutine(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two cores")
	}
	b := &benchSettings{duration: 40 * time.Millisecond, memory: 32, clientCPU: 1}
	r, err := secondGoroutine(context.Background(), b, &benchServer{name: "lintel"})
	if err != nil || len(r) != 1 || !(r[0] > 0) {
		t.Errorf("%v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := secondGoroutine(ctx, b, &benchServer{name: "lintel"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an end", err)
	}
	if r, err := secondGoroutine(ctx, b, &benchServer{name: "peer"}); err != nil || r[0] == r[0] {
		t.Errorf("%v, %v of the peer, want nothing", r, err)
	}
}
