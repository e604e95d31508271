package zmq_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
)

// Context.Close gives each socket its linger time, and no longer, for
// messages that no peer receives.
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

// However long another call lingers, a wait with a bound of its own ends: that
// of a Context, of a socket and of Close with a linger time.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(zmq.Context)
		never := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		push, err := zmq.NewPush(zmq.InContext(c), zmq.WithLinger(-1), zmq.WithDialer(never))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := push.Connect("tcp://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		if err := push.SendBytes(t.Context(), []byte("never fetched")); err != nil {
			t.Fatal(err)
		}
		forever, end := context.WithCancel(t.Context())
		var closing sync.WaitGroup
		closing.Go(func() {
			if err := push.CloseContext(forever); err != nil {
				t.Errorf("the call that closes: %v", err)
			}
		})
		synctest.Wait()
		for name, close := range map[string]func(context.Context) error{"Context.Close": c.Close, "CloseContext": push.CloseContext} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := close(ctx)
			cancel()
			if took := time.Since(start); took != 200*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v after %v, want its own deadline after 200 ms", name, err, took)
			}
		}
		end()
		closing.Wait()
		if err := errors.Join(c.Close(t.Context()), push.Close()); err != nil {
			t.Error(err)
		}
	})
}
