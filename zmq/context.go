package zmq

import (
	"context"
	"errors"
	"sync"
)

// Context holds sockets: inproc names are known within one Context, and
// closing it closes all its sockets. The zero value is not ready; use
// NewContext.
type Context struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	done    bool
	sockets map[*core]struct{}
	inproc  map[string]*Endpoint
	waiting map[string][]*pipe // connected to a name nobody bound yet
}

var defaultContext = NewContext()

// NewContext makes a Context of its own. Sockets made without WithContext
// share a default one.
func NewContext() *Context {
	return &Context{
		sockets: make(map[*core]struct{}),
		inproc:  make(map[string]*Endpoint),
		waiting: make(map[string][]*pipe),
	}
}

// Shutdown makes every blocked and later call on the Context's sockets fail
// with ErrTerminated. The sockets still have to be closed.
func (c *Context) Shutdown() {
	for _, s := range c.end() {
		s.interrupt(ErrTerminated)
	}
}

// Close shuts the Context down and closes its sockets, each with its linger
// time, at most until ctx is done.
func (c *Context) Close(ctx context.Context) error {
	sockets := c.end()
	for _, s := range sockets {
		s.interrupt(ErrTerminated)
	}
	errs := make([]error, len(sockets))
	var wg sync.WaitGroup
	for i, s := range sockets {
		wg.Go(func() {
			ctx, stop := lingering(ctx, s.options().Linger)
			defer stop()
			errs[i] = s.closeContext(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Context) end() []*core {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	all := make([]*core, 0, len(c.sockets))
	for s := range c.sockets {
		all = append(all, s)
	}
	return all
}

func (c *Context) add(s *core) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return ErrTerminated
	}
	c.sockets[s] = struct{}{}
	return nil
}

func (c *Context) remove(s *core) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sockets, s)
}
