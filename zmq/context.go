package zmq

import (
	"context"
	"errors"
	"sync"
)

// Context is a group of sockets. Endpoints of inproc are known within one
// Context, and closing it closes all its sockets. The zero value is ready for
// use. Sockets made without InContext are in a default Context. A Context must
// not be copied.
type Context struct {
	mu sync.Mutex
	// The fields below are protected by mu. The maps are made when needed.
	done    bool
	sockets map[*core]struct{}
	inproc  map[string]*Endpoint
	waiting map[string][]*pipe // connected to a name that is not bound yet
}

var defaultContext Context

// Shutdown makes all blocked and later calls on the sockets of the Context
// return ErrTerminated, and so does making a socket in it. The sockets still
// have to be closed.
func (c *Context) Shutdown() {
	for _, s := range c.end() {
		s.interrupt(ErrTerminated)
	}
}

// Close shuts the Context down and closes its sockets, each with its linger
// time, but at most until ctx is done. Sockets that another call is closing
// already keep the time of that call; Close returns an error if ctx is done
// first.
func (c *Context) Close(ctx context.Context) error {
	sockets := c.end()
	for _, s := range sockets {
		s.interrupt(ErrTerminated)
	}
	errs := make([]error, len(sockets))
	var wg sync.WaitGroup
	for i, s := range sockets {
		wg.Go(func() {
			linger, stop := lingering(ctx, s.options().Linger)
			defer stop()
			if errs[i] = s.closeContext(linger); errs[i] != nil {
				errs[i] = s.awaitClosed(ctx)
			}
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
	if c.sockets == nil {
		c.sockets = make(map[*core]struct{})
		c.inproc = make(map[string]*Endpoint)
		c.waiting = make(map[string][]*pipe)
	}
	c.sockets[s] = struct{}{}
	return nil
}

func (c *Context) remove(s *core) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sockets, s)
}
