package zmqcli

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
)

// TestInterruptBoundsLinger checks how long an interrupted command waits for its
// queued messages.
func TestInterruptBoundsLinger(t *testing.T) {
	for _, c := range []struct {
		linger            string
		interrupted, over time.Duration // after which time
	}{
		{"-1", 0, interruptedLinger},
		{"-1", time.Hour, time.Hour + interruptedLinger},
		{"60000", 10 * time.Second, 10*time.Second + interruptedLinger},
		{"60000", 58 * time.Second, time.Minute},
		{"2000", 0, 2 * time.Second},
		{"0", 0, 0},
	} {
		at := "ipc://" + filepath.Join(t.TempDir(), "none")
		synctest.Test(t, func(t *testing.T) {
			s, err := zmq.NewPush(zmq.WithOption("linger", c.linger), zmq.WithReconnect(24*time.Hour, 0))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Connect(at); err != nil {
				t.Fatal(err)
			}
			if err := s.SendBytes(t.Context(), []byte("unheard")); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			ctx, stop := context.WithTimeout(t.Context(), c.interrupted)
			defer stop()
			if err := closeSocket(ctx, s); err == nil || err.Error() != "1 queued messages were not sent: no peer took them in time" {
				t.Errorf("error %v, want the number of messages lost", err)
			}
			if took := time.Since(start); took != c.over {
				t.Errorf("linger %s, interrupted after %v: closed after %v, want %v", c.linger, c.interrupted, took, c.over)
			}
		})
	}
}
