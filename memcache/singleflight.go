package memcache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// PanicError is returned by Fetch if its load function panicked.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // the stack trace of the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("memcache: load panicked: %v", e.Value) }

// errGoexit is returned if a load function ended its goroutine.
var errGoexit = errors.New("memcache: load called runtime.Goexit")

// singleflight runs one load per key at a time and shares the result. Unlike
// golang.org/x/sync/singleflight, the load has its own context, which ends when the
// last caller has given up, or when the client is closed.
type singleflight struct {
	mu       sync.Mutex // protects inFlight, and callers of its calls
	inFlight map[string]*inFlightCall
}

// inFlightCall is a load that is running.
type inFlightCall struct {
	done    chan struct{}
	callers int
	cancel  context.CancelFunc
	value   loaded // the result, after done is closed
	err     error
}

// loaded is a value of a load function, or of the cache.
type loaded struct {
	data  []byte
	flags uint32
}

// join returns the call in flight for key. It starts one that runs work if there is
// none. The caller is counted.
func (c *Client) join(ctx context.Context, key string, work func(context.Context) (loaded, error)) *inFlightCall {
	g := &c.loads
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.inFlight[key]; l != nil {
		l.callers++
		return l
	}
	l := &inFlightCall{done: make(chan struct{}), callers: 1, err: errGoexit}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(c.ctx, l.cancel)
	if g.inFlight == nil {
		g.inFlight = make(map[string]*inFlightCall)
	}
	g.inFlight[key] = l
	c.wg.Go(func() {
		defer stop()
		g.run(ctx, key, l, work)
	})
	return l
}

func (g *singleflight) run(ctx context.Context, key string, l *inFlightCall, work func(context.Context) (loaded, error)) {
	defer func() {
		if v := recover(); v != nil {
			l.value, l.err = loaded{}, &PanicError{Value: v, Stack: debug.Stack()}
		}
		g.mu.Lock()
		if g.inFlight[key] == l {
			delete(g.inFlight, key)
		}
		g.mu.Unlock()
		l.cancel()
		close(l.done)
	}()
	l.value, l.err = work(ctx)
}

// share runs work once for all concurrent callers with the same key.
func (c *Client) share(ctx context.Context, key string, work func(context.Context) (loaded, error)) (loaded, error) {
	if c.ctx.Err() != nil {
		return loaded{}, ErrClosed
	}
	l := c.join(ctx, key, work)
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
	}
	g := &c.loads
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.callers--; l.callers == 0 {
		l.cancel()
		if g.inFlight[key] == l {
			delete(g.inFlight, key)
		}
	}
	return loaded{}, ctx.Err()
}

// background runs work without waiting for it, unless a call for key is in flight.
func (c *Client) background(ctx context.Context, key string, work func(context.Context) (loaded, error)) {
	if c.ctx.Err() == nil {
		c.join(ctx, key, work)
	}
}
