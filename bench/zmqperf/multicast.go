package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lintel.dev/zmq"
)

// silence ends a stream that may lose its last messages.
const silence = 2 * time.Second

const joining = 500 * time.Millisecond

// multicast has the rate in kbit a second.
func multicast(rate int, more ...zmq.Option) []zmq.Option {
	return append(more, zmq.WithOption("rate", strconv.Itoa(rate)), zmq.WithOption("recovery_ivl", "1000"))
}

func multiSub(ctx context.Context, at string, size, count, rate int) error {
	s, err := zmq.NewSub(multicast(rate)...)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Subscribe(""); err != nil {
		return err
	}
	if _, err := s.Connect(at); err != nil {
		return err
	}
	buf := make([]byte, size)
	if _, err := s.RecvInto(ctx, buf[:0]); err != nil {
		return err
	}
	first := time.Now()
	last, got := first, 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	for ; got < count-1; got++ {
		if m, err := s.RecvInto(ctx, buf[:0]); err != nil {
			break
		} else if len(m) != size {
			return fmt.Errorf("message of %d bytes instead of %d", len(m), size)
		}
		if got%1000 == 0 {
			quiet.Reset(silence)
		}
		last = time.Now()
	}
	fmt.Printf("rate %.0f\narrived %.6f\n", float64(got)/last.Sub(first).Seconds(), float64(got+1)/float64(count))
	return nil
}

func multiPub(ctx context.Context, at string, size, count, rate int) error {
	s, err := zmq.NewPub(multicast(rate, zmq.WithOption("xpub_nodrop", "1"))...)
	if err != nil {
		return err
	}
	if _, err := s.Connect(at); err != nil {
		return err
	}
	// A stream is joined where it is: give the other end time to be there.
	time.Sleep(joining)
	body := make([]byte, size)
	for range count {
		if err := s.SendBytes(ctx, body); err != nil {
			return err
		}
	}
	<-ctx.Done() // repairs are made while it stays
	return s.Close()
}
