package memcache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// PanicError is what the callers of Fetch get when its load function panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // where
}

func (e *PanicError) Error() string { return fmt.Sprintf("memcache: load panicked: %v", e.Value) }

// flight lets one goroutine at a time work on a key while others wait.
type flight struct {
	mu      sync.Mutex // protects running
	running map[string]*landing
}

// landing is one piece of work and what came of it.
type landing struct {
	done  chan struct{}
	value []byte
	err   error
}

// do runs work once for all concurrent callers with the same key. The work
// has a context of its own, which ends when the last caller's does not: it is
// detached from ctx, so that a caller who leaves does not fail the others.
func (f *flight) do(ctx context.Context, key string, work func(context.Context) ([]byte, error)) ([]byte, error) {
	f.mu.Lock()
	l := f.running[key]
	if l == nil {
		l = &landing{done: make(chan struct{}), err: errors.New("memcache: load ended its goroutine")}
		if f.running == nil {
			f.running = make(map[string]*landing)
		}
		f.running[key] = l
		go f.run(context.WithoutCancel(ctx), key, l, work)
	}
	f.mu.Unlock()
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *flight) run(ctx context.Context, key string, l *landing, work func(context.Context) ([]byte, error)) {
	defer func() {
		if v := recover(); v != nil {
			l.value, l.err = nil, &PanicError{Value: v, Stack: debug.Stack()}
		}
		f.mu.Lock()
		delete(f.running, key)
		f.mu.Unlock()
		close(l.done)
	}()
	l.value, l.err = work(ctx)
}

// Fetch returns the value under key, calling load for it on a miss and storing
// what it returns for ttl. Concurrent calls for one key share one load, and one
// result: the caller must not modify it. An error of load is returned and not
// cached; a panic in it becomes a [PanicError]. A cache that cannot be reached
// counts as a miss.
func (c *Client) Fetch(ctx context.Context, key string, ttl time.Duration, load func(context.Context) ([]byte, error)) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if _, err := wireTTL(ttl, time.Now); err != nil {
		return nil, err
	}
	it, err := c.Get(ctx, key)
	if err == nil {
		return it.Value, nil
	}
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return nil, err
	}
	return c.flight.do(ctx, key, func(ctx context.Context) ([]byte, error) {
		start := time.Now()
		value, err := load(ctx)
		if h := c.opts.Hooks.Loaded; h != nil {
			h(key, time.Since(start), err)
		}
		if err != nil {
			return nil, err
		}
		// Whether it could be stored is no concern of who wants the value.
		_ = c.Set(ctx, &Item{Key: key, Value: value, TTL: ttl})
		return value, nil
	})
}
