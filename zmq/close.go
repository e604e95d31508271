package zmq

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// endEndpoint closes an endpoint and returns. Its messages linger.
func (s *core) endEndpoint(e *Endpoint) error {
	if !s.endpoints.beginEnd(e, &s.wg) {
		return ErrNoEndpoint
	}
	e.unbind()
	e.retire()
	go func() {
		defer s.wg.Done()
		ctx, stop := lingering(s.closeNow, s.options().Linger)
		defer stop()
		e.end(ctx, false)
		s.endpoints.ended(e)
	}()
	return nil
}

// lingering is a context for the linger time d.
func lingering(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d < 0 {
		return context.WithCancel(parent)
	}
	return context.WithTimeout(parent, d)
}

// unbind stops new connections from arriving.
func (e *Endpoint) unbind() {
	if e.ln != nil {
		e.closeListener()
	}
	if e.bound && e.at.Scheme == "inproc" {
		e.leaveInproc()
	}
}

// retire detaches the endpoint's pipes from the socket, and those of connections
// that are not ready yet: nothing that arrives from now on is received, and no
// further message is sent. Messages that are queued leave in the background.
func (e *Endpoint) retire() {
	e.mu.Lock()
	e.retired = true
	e.mu.Unlock()
	for _, p := range e.allPipes() {
		if p.inproc() == nil {
			e.s.detach(p, false)
		}
	}
	e.finishSending(false)
}

// finishSending refuses further messages on all connections.
func (e *Endpoint) finishSending(drop bool) {
	for _, p := range e.allPipes() {
		if p.inproc() != nil {
			p.end(drop) // what was sent is with the peer
		} else {
			p.finishSending()
		}
	}
}

// end ends the endpoint's connections, each when it has sent what it had or
// ctx is done. With drop, what arrived and was not received is dropped.
func (e *Endpoint) end(ctx context.Context, drop bool) {
	e.finishSending(drop)
	for _, p := range e.allPipes() {
		select {
		case <-p.flushed:
		case <-ctx.Done():
		}
		p.end(drop)
	}
	if !e.bound && e.at.Scheme == "inproc" {
		e.leaveInproc()
	}
	e.stop()
}

// closeContext closes the socket. It waits for queued messages until ctx is
// done. While another call closes the socket, it waits for that one until ctx is
// done, and returns the error of ctx then.
func (s *core) closeContext(ctx context.Context) error {
	eps, ending, first := s.endpoints.beginClose()
	if !first {
		return s.awaitClosed(ctx)
	}
	s.interrupt(ErrClosed)
	var wg sync.WaitGroup
	for _, e := range eps {
		wg.Go(func() {
			e.unbind()
			e.end(ctx, true)
		})
	}
	for _, e := range ending {
		wg.Go(func() { e.end(ctx, true) })
	}
	wg.Wait()
	s.stopNow()
	s.wg.Wait()
	s.ctx.remove(s)
	s.events.close()
	close(s.endpoints.closed)
	return nil
}

// awaitClosed waits until another call has closed the socket.
func (s *core) awaitClosed(ctx context.Context) error {
	select {
	case <-s.endpoints.closed:
		return nil
	default:
	}
	select {
	case <-s.endpoints.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("zmq: another call is closing the socket: %w", ctx.Err())
	}
}

func (s *core) close() error {
	ctx, stop := lingering(context.Background(), s.options().Linger)
	defer stop()
	return s.closeContext(ctx)
}
