package zmqcli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// interruptedLinger is the longest time that an interrupted command waits for
// queued messages to be sent, even with --option linger=-1.
const interruptedLinger = 5 * time.Second

// milliseconds returns an option that libzmq counts in milliseconds, -1 for no
// limit. It panics if the socket has no such option.
func milliseconds(s zmq.Socket, option string) time.Duration {
	value, err := s.Option(option)
	cli.Must(err)
	n, err := strconv.Atoi(value)
	cli.Must(err)
	return max(time.Duration(n)*time.Millisecond, -1)
}

// closeSocket closes s. It waits for queued messages to be sent for the linger
// time, but no longer than interruptedLinger once ctx is done. Messages that
// were not sent are an error.
func closeSocket(ctx context.Context, s zmq.Socket) error {
	wait, stop := context.WithCancel(context.Background())
	defer stop()
	linger := milliseconds(s, "linger")
	if linger >= 0 {
		wait, stop = context.WithTimeout(wait, linger)
		defer stop()
	}
	if linger < 0 || linger > interruptedLinger {
		forget := context.AfterFunc(ctx, func() {
			late := time.NewTimer(interruptedLinger)
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
	if n := s.Stats().DroppedLost - before; n > 0 && err == nil {
		err = fmt.Errorf("%d queued messages were not sent: no peer took them in time", n)
	}
	return err
}
