package jetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// requestTimeout bounds the wait for one answer of the server. A request that
// arrives while a leader is elected or a server starts has none.
const requestTimeout = 5 * time.Second

// errDisconnected means that the connection broke before the answer came.
var errDisconnected = errors.New("jetstream: connection lost")

// request calls f with a context that ends with ctx, after requestTimeout, or when
// the connection breaks. It returns an error at once while there is no connection:
// the library would send the request much later.
func (e *Engine) request(ctx context.Context, f func(context.Context) error) error {
	e.mu.Lock()
	link := e.link
	e.mu.Unlock()
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(link, func() { cancel(context.Cause(link)) })
	defer stop()
	inner, cancelTimer := context.WithTimeout(inner, requestTimeout)
	defer cancelTimer()
	err := inner.Err()
	if err == nil {
		err = f(inner)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, nats.ErrConnectionClosed):
		return engine.ErrClosed
	case inner.Err() != nil && link.Err() != nil:
		return context.Cause(link)
	}
	return err
}

// persist repeats request until it succeeds, ctx ends, or the server refuses.
func (e *Engine) persist(ctx context.Context, f func(context.Context) error) error {
	for {
		err := e.request(ctx, f)
		var api *jetstream.APIError
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, engine.ErrClosed), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
			return err
		case errors.As(err, &api) && api.Code != 503:
			return err
		}
		if pause(ctx, retryAfter) != nil {
			return err
		}
	}
}

// setLink begins or ends the time of a connection, for request.
func (e *Engine) setLink(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cut != nil {
		e.cut(errDisconnected)
	}
	e.link, e.cut = context.WithCancelCause(context.Background())
	if !up {
		e.cut(errDisconnected)
	}
}
