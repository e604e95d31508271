package memcache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// PanicError is what the callers of Fetch get when its load function panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // where
}

func (e *PanicError) Error() string { return fmt.Sprintf("memcache: load panicked: %v", e.Value) }

// errGoexit is what callers get when load ended its goroutine.
var errGoexit = errors.New("memcache: load called runtime.Goexit")

// flight lets one goroutine at a time work on a key while others wait.
type flight struct {
	mu      sync.Mutex // protects running and the callers of each landing
	running map[string]*landing
}

// landing is one piece of work and what came of it.
type landing struct {
	done    chan struct{}
	callers int
	cancel  context.CancelFunc
	value   loaded
	err     error
}

// loaded is what load returned, or the cache had in its place.
type loaded struct {
	data  []byte
	flags uint32
}

// join returns the work on key, starting it if there is none, and counts the
// caller in.
func (c *Client) join(ctx context.Context, key string, work func(context.Context) (loaded, error)) *landing {
	f := &c.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.running[key]; l != nil {
		l.callers++
		return l
	}
	l := &landing{done: make(chan struct{}), callers: 1, err: errGoexit}
	// The work outlives a caller who leaves, but not the last one, nor the
	// client.
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(c.ctx, l.cancel)
	if f.running == nil {
		f.running = make(map[string]*landing)
	}
	f.running[key] = l
	c.wg.Go(func() {
		defer stop()
		f.run(ctx, key, l, work)
	})
	return l
}

func (f *flight) run(ctx context.Context, key string, l *landing, work func(context.Context) (loaded, error)) {
	defer func() {
		if v := recover(); v != nil {
			l.value, l.err = loaded{}, &PanicError{Value: v, Stack: debug.Stack()}
		}
		f.mu.Lock()
		if f.running[key] == l {
			delete(f.running, key)
		}
		f.mu.Unlock()
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
	f := &c.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.callers--; l.callers == 0 {
		l.cancel()
		if f.running[key] == l {
			delete(f.running, key)
		}
	}
	return loaded{}, ctx.Err()
}

// behind runs work without anybody waiting, unless work on the key is going on.
func (c *Client) behind(ctx context.Context, key string, work func(context.Context) (loaded, error)) {
	if c.ctx.Err() == nil {
		c.join(ctx, key, work)
	}
}
