package zmqcli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// farewell is how long an interrupted command waits for queued messages,
// whatever the linger time: --option linger=-1 must not outlive Ctrl-C.
const farewell = 5 * time.Second

// millis returns an option of libzmq's that is a time; -1: no limit.
func millis(s zmq.Socket, option string) time.Duration {
	value, err := s.Option(option)
	cli.Must(err)
	n, err := strconv.Atoi(value)
	cli.Must(err)
	return max(time.Duration(n)*time.Millisecond, -1)
}

// closeSocket waits for queued messages for the linger time, but no longer than
// farewell once ctx is done, and tells on stderr how many were not sent.
func closeSocket(ctx context.Context, s zmq.Socket, stderr io.Writer) error {
	wait, stop := context.WithCancel(context.Background())
	defer stop()
	linger := millis(s, "linger")
	if linger >= 0 {
		wait, stop = context.WithTimeout(wait, linger)
		defer stop()
	}
	if linger < 0 || linger > farewell {
		forget := context.AfterFunc(ctx, func() {
			late := time.NewTimer(farewell)
			defer late.Stop()
			select {
			case <-late.C:
				stop()
			case <-wait.Done():
			}
		})
		defer forget()
	}
	before := s.Stats().DroppedLost
	err := s.CloseContext(wait)
	if n := s.Stats().DroppedLost - before; n > 0 {
		fmt.Fprintf(stderr, "lintel: messages that no peer took in time: %d\n", n)
	}
	return err
}
