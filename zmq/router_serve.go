package zmq

import (
	"context"
	"errors"
	"sync"
)

// serveLimit is how many requests Router.Serve works on at once.
const serveLimit = 256

// Serve answers the requests of REQ sockets and of Dealer.Request with the
// messages that handler returns, until ctx is done or the socket is closed.
// It returns the reason. It calls handler in one goroutine for each request,
// up to 256 at a time; further requests wait in the socket's queues. Replies
// are sent as they are ready, in any order.
//
// A request is what follows the first empty frame of a message. The frames
// up to there are its envelope, which precedes the reply. A message without
// an empty frame, or with nothing behind it, is dropped and counted as
// DroppedMalformed. A reply to a peer that has disconnected is dropped and
// counted as DroppedNoPeer.
//
// When handler fails, Serve cancels the context of the other calls, waits
// for them and returns the error; the request is not answered. Do not
// receive from the socket while Serve runs.
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
