package zmq_test

import (
	"context"
	"net"
	"testing"
	"time"

	"lintel.dev/zmq"
)

// Context.Close gives each socket its linger time, and no longer, for
// messages that nobody fetches.
func TestContextCloseLingers(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c := new(zmq.Context)
	push, err := zmq.NewPush(zmq.InContext(c), zmq.WithLinger(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push.Connect("tcp://" + gone.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := push.SendBytes(t.Context(), []byte("never fetched")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := c.Close(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("Close: %v; waited past the linger time: %v", err, ctx.Err() != nil)
	}
}
