package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"lintel.dev/zmq"
)

// allocs counts the allocations of the whole program for each message that a
// PUSH sends and a PULL receives, the connection's goroutines included.
func allocs(ctx context.Context, at string, size, count int) error {
	pull, err := zmq.NewPull()
	if err != nil {
		return err
	}
	push, err := zmq.NewPush()
	if err != nil {
		return err
	}
	e, err := pull.Bind(at)
	if err != nil {
		return err
	}
	if _, err := push.Connect(e.Addr()); err != nil {
		return err
	}
	body := make([]byte, size)
	exchange := func(n int) error {
		sent := make(chan error, 1)
		go func() {
			for range n {
				if err := push.SendBytes(ctx, body); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for range n {
			if _, err := pull.RecvBytes(ctx); err != nil {
				return err
			}
		}
		return <-sent
	}
	if err := exchange(count/10 + 1); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := exchange(count); err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	fmt.Printf("allocs %.5f\n", float64(after.Mallocs-before.Mallocs)/float64(count))
	return errors.Join(push.Close(), pull.Close())
}

// stay is remote_thr that does not hang up.
func stay(ctx context.Context, at string, size, count int) error {
	s, err := zmq.NewPush(zmq.WithLinger(-1))
	if err != nil {
		return err
	}
	if _, err := s.Connect(at); err != nil {
		return err
	}
	m := zmq.Msg{make([]byte, size)}
	for range count {
		if err := s.SendOwned(ctx, m); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return s.Close()
}

// proxyHWM is the mark of libzmq's proxy_thr.
const proxyHWM = 10000

var noDrop = zmq.WithOption("xpub_nodrop", "1")

// proxy carries messages between two endpoints until it is ended.
func proxy(ctx context.Context, front, back string) error {
	in, err := zmq.NewXSub(zmq.WithHWM(proxyHWM))
	if err != nil {
		return err
	}
	out, err := zmq.NewXPub(zmq.WithHWM(proxyHWM), noDrop)
	if err != nil {
		return err
	}
	if _, err := in.Bind(front); err != nil {
		return err
	}
	if _, err := out.Bind(back); err != nil {
		return err
	}
	return (&zmq.Proxy{Front: in, Back: out}).Run(ctx)
}

// proxySub times the messages after the first.
func proxySub(ctx context.Context, at string, size, count int) error {
	s, err := zmq.NewSub(zmq.WithHWM(proxyHWM))
	if err != nil {
		return err
	}
	if err := s.Subscribe(""); err != nil {
		return err
	}
	if _, err := s.Connect(at); err != nil {
		return err
	}
	var start time.Time
	for i := range count {
		b, err := s.RecvBytes(ctx)
		if err == nil && len(b) != size {
			err = fmt.Errorf("message of %d bytes, expected %d", len(b), size)
		}
		if err != nil {
			return err
		}
		if i == 0 {
			start = time.Now()
		}
	}
	fmt.Printf("rate %.0f\n", float64(count-1)/time.Since(start).Seconds())
	return s.Close()
}

// proxyPub publishes count messages from each of two sockets, which wait for
// room.
func proxyPub(ctx context.Context, at string, size, count int) error {
	done := make(chan error, 2)
	for range cap(done) {
		go func() {
			done <- func() error {
				s, err := zmq.NewXPub(zmq.WithHWM(proxyHWM), noDrop, zmq.WithLinger(-1))
				if err != nil {
					return err
				}
				if _, err := s.Connect(at); err != nil {
					return err
				}
				if b, err := s.RecvBytes(ctx); err != nil || len(b) != 1 || b[0] != 1 {
					return errors.Join(err, fmt.Errorf("%q where a subscription to everything was expected", b))
				}
				body := make([]byte, size)
				for range count {
					if err := s.SendBytes(ctx, body); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
