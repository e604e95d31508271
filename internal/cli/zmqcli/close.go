package zmqcli

import (
	"context"
	"fmt"
	"io"
	"time"

	"lintel.dev/zmq"
)

// farewell is how long an interrupted command waits for queued messages,
// whatever the linger time: --option linger=-1 must not outlive Ctrl-C.
const farewell = 5 * time.Second

// closeSocket waits for queued messages for the linger time, but no longer than
// farewell once ctx is done, and tells on stderr how many were not sent.
func closeSocket(ctx context.Context, s zmq.Socket, stderr io.Writer) error {
	wait, stop := context.WithCancel(context.Background())
	defer stop()
	linger := s.Options().Linger
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
	err := s.(interface{ CloseContext(context.Context) error }).CloseContext(wait)
	if n := s.Stats().DroppedLost - before; n > 0 {
		fmt.Fprintf(stderr, "lintel: messages that no peer took in time: %d\n", n)
	}
	return err
}
