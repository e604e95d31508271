package zmq_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"lintel.dev/zmq"
)

// TestDuplicateIdentitySoak closes a DEALER that waits without limit for its message
// to leave (linger -1) while a ROUTER without handover refuses it, since another
// DEALER has its identity. In half of the runs that one leaves meanwhile, so that
// the message may arrive. Close must return in each of LINTEL_DUPLICATES runs
// (10,000 in the soak of the Makefile), and the message must have arrived or be
// counted as lost.
func TestDuplicateIdentitySoak(t *testing.T) {
	runs := 100
	if s := os.Getenv("LINTEL_DUPLICATES"); s != "" {
		var err error
		if runs, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	everywhere(t, func(t *testing.T, r rig) {
		var next atomic.Int64
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				for !t.Failed() {
					n := int(next.Add(1))
					if n > runs/4 { // of four transports
						return
					}
					ctx, stop := context.WithTimeout(t.Context(), limit)
					if err := closeDuplicate(ctx, r, n); err != nil {
						t.Errorf("run %d: %v", n, err)
					}
					stop()
				}
			})
		}
		workers.Wait()
	})
}

// closeDuplicate is one run.
func closeDuplicate(ctx context.Context, r rig, n int) error {
	at := r.net.bind(r.T)
	if r.net.name == "inproc" || r.net.name == "ipc" {
		at += fmt.Sprint(n)
	}
	opts := r.opts(zmq.WithIdentity([]byte("X")), zmq.WithLinger(-1), zmq.WithReconnect(1e6, 0))
	router, err := zmq.NewRouter(r.opts(zmq.WithLinger(0))...)
	if err != nil {
		return err
	}
	defer router.Close()
	bound, err := router.Bind(at)
	if err != nil {
		return err
	}
	first, err := zmq.NewDealer(opts...)
	if err != nil {
		return err
	}
	defer first.Close()
	if _, err := first.Connect(bound.Addr()); err != nil {
		return err
	}
	if err := first.SendBytes(ctx, []byte("first")); err != nil {
		return err
	}
	if _, err := router.Recv(ctx); err != nil {
		return fmt.Errorf("the message of the first: %w", err)
	}
	second, err := zmq.NewDealer(opts...)
	if err != nil {
		return err
	}
	if _, err := second.Connect(bound.Addr()); err != nil {
		return err
	}
	sent := second.TrySend(zmq.NewMsg("second"))
	var leaving sync.WaitGroup
	if n%2 == 0 {
		leaving.Go(func() { first.Close() })
	}
	err = second.CloseContext(ctx) // without a limit of its own, as with linger -1
	leaving.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("Close of the second did not return: %v", err)
	}
	if err != nil {
		return err
	}
	if lost := second.Stats().DroppedLost; lost == 0 && sent == nil {
		if _, err := router.Recv(ctx); err != nil {
			return fmt.Errorf("the message of the second is neither lost nor received: %w", err)
		}
	}
	return nil
}
