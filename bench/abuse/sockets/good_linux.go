package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"lintel.dev/bench/harness"
	"lintel.dev/zmq"
)

// giveUp is when a socket counts as dead.
const giveUp = 20 * time.Second

// exchange carries one message of the good peer and returns how long that took.
type exchange func(ctx context.Context) (time.Duration, error)

// good is the peer that attacks no one. It prints "ready" after its first
// exchange. With the end of its standard input, it prints the median, the 99th
// percentile and the longest of its waits, in milliseconds.
func good(ctx context.Context, kind string, at []string) error {
	next, err := connect(kind, at)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var waits []float64
	for over := false; !over; {
		ctx, cancel := context.WithTimeout(ctx, giveUp)
		wait, err := next(ctx)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			wait, over = giveUp, true
		case err != nil:
			return err
		case waits == nil:
			fmt.Println("ready")
		}
		waits = append(waits, wait.Seconds()*1000)
		select {
		case <-ended:
			over = true
		default:
		}
	}
	fmt.Println(harness.Quantile(waits, 0.5), harness.Quantile(waits, 0.99), harness.Quantile(waits, 1))
	return nil
}

// connect makes the good peer of a kind of target.
func connect(kind string, at []string) (exchange, error) {
	switch kind {
	case "router", "curve", "ws":
		var opts []zmq.Option
		if kind == "curve" {
			var server zmq.PublicKey
			if err := server.UnmarshalText([]byte(serverPublic)); err != nil {
				return nil, err
			}
			opts = append(opts, zmq.WithCurve(zmq.NewSecretKey(), server))
		}
		s, err := zmq.NewDealer(opts...)
		if err != nil {
			return nil, err
		}
		_, err = s.Connect(at[0])
		return roundTrip(s, s), err
	case "pull":
		push, err := zmq.NewPush()
		if err != nil {
			return nil, err
		}
		ack, err := zmq.NewPull()
		if err == nil {
			_, err = push.Connect(at[0])
		}
		if err == nil {
			_, err = ack.Connect(at[1])
		}
		return roundTrip(push, ack), err
	case "pub", "xpub":
		s, err := zmq.NewSub(zmq.WithSubscribe(string(mark)))
		if err != nil {
			return nil, err
		}
		_, err = s.Connect(at[0])
		return func(ctx context.Context) (time.Duration, error) { return arrival(ctx, s) }, err
	}
	return nil, fmt.Errorf("no kind %q", kind)
}

type sender interface {
	SendBytes(ctx context.Context, b []byte) error
}

type receiver interface {
	RecvBytes(ctx context.Context) ([]byte, error)
}

// roundTrip sends a message each millisecond and waits until it comes back.
func roundTrip(out sender, in receiver) exchange {
	tick := time.NewTicker(time.Millisecond)
	return func(ctx context.Context) (time.Duration, error) {
		<-tick.C
		if err := out.SendBytes(ctx, stamp(nil)); err != nil {
			return 0, err
		}
		return arrival(ctx, in)
	}
}

// arrival receives a message and returns how long ago its sender made it.
func arrival(ctx context.Context, s receiver) (time.Duration, error) {
	b, err := s.RecvBytes(ctx)
	if err != nil {
		return 0, err
	}
	made, err := stamped(b)
	return time.Since(made), err
}
