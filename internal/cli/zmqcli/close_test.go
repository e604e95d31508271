package zmqcli

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/zmq"
)

// An interrupted command waits for its messages, but not for ever.
func TestInterruptBoundsLinger(t *testing.T) {
	for _, c := range []struct {
		linger            string
		interrupted, over time.Duration // after which time
	}{
		{"-1", 0, farewell},
		{"-1", time.Hour, time.Hour + farewell},
		{"60000", 10 * time.Second, 10*time.Second + farewell},
		{"60000", 58 * time.Second, time.Minute},
		{"2000", 0, 2 * time.Second},
		{"0", 0, 0},
	} {
		at := "ipc://" + filepath.Join(t.TempDir(), "nobody")
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
			var said bytes.Buffer
			if err := closeSocket(ctx, s, &said); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != c.over {
				t.Errorf("linger %s, interrupted after %v: closed after %v, want %v", c.linger, c.interrupted, took, c.over)
			}
			if want := "lintel: messages that no peer took in time: 1\n"; said.String() != want {
				t.Errorf("said %q, want %q", said.String(), want)
			}
		})
	}
}
