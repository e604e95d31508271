package zmq

import (
	"context"
	"errors"
	"sync"
)

// serveLimit is how many requests Router.Serve works on at once.
const serveLimit = 256

// Serve answers requests of REQ sockets and of Dealer.Request with what
// handler returns, until ctx is done or the socket is closed, whose error it
// returns. It calls handler in a goroutine for each request, 256 of them at
// most; more requests wait in the socket's queues, and replies go out as they
// are ready, in any order.
//
// A request is what follows the first empty frame; the frames up to there are
// its envelope, which goes back in front of the reply. A message without an
// empty frame, or with nothing behind it, is dropped and counted as malformed;
// the reply to a peer that is gone is dropped. When handler fails Serve cancels
// the context of the other calls, waits for them and returns that error; the
// request gets no answer. Nobody else may receive from the socket meanwhile.
func (s *Router) Serve(ctx context.Context, handler func(ctx context.Context, request Msg) (reply Msg, err error)) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, serveLimit)
	err := func() error {
		for {
			m, err := s.Recv(ctx)
			if err != nil {
				return err
			}
			body := 1
			for body < len(m) && len(m[body]) > 0 {
				body++
			}
			if body++; body >= len(m) {
				s.c.counter.malformed.Add(1)
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := s.answer(ctx, m[:body:body], m[body:], handler); err != nil {
					fail(err)
				}
			})
		}
	}()
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	fail(err)
	wg.Wait()
	return err
}

// answer handles one request whose envelope is given.
func (s *Router) answer(ctx context.Context, envelope, request Msg, handler func(context.Context, Msg) (Msg, error)) error {
	reply, err := handler(ctx, request)
	if err != nil {
		return err
	}
	if len(reply) == 0 {
		return errNoFrames
	}
	if err := s.Send(ctx, append(envelope, reply...)); !errors.Is(err, ErrHostUnreachable) {
		return err
	}
	s.c.counter.noPeer.Add(1)
	return nil
}
