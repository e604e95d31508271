// Package memory is an engine that keeps queues and logs in the memory of the
// process. Its guarantee is engine.Volatile: it is for tests, and for queues whose
// messages may be lost with the bridge.
//
// An [Engine] owns one state for each name. A Queue or Log that it returns is a
// handle on a state: several handles of one name share messages, as several
// processes share a stream of a cluster. Closing a handle returns its jobs; the
// state stays until Engine.Close.
//
// Each handle has one goroutine that stores what Put and Append have taken, in
// order, and calls done. AckWait and the delay of Nak are timers. No goroutine or
// timer is left after Close.
//
// Locks: Engine.mu protects the maps of names; queueState.mu and logState.mu
// protect one queue or log and are taken after Engine.mu or alone. No lock is held
// during a call of done or OnEvent.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
)

// Options configure an Engine. A zero field means its default.
type Options struct {
	engine.Options
	// MaxMessage is the largest message, in octets of its frames and ID.
	// Default 1 MiB.
	MaxMessage int64
	// MaxBytes bounds the messages of one queue, its dead letters included, or of
	// one log. Default 64 MiB.
	MaxBytes int64
	// Delay is the time between Put or Append and the receipt, for tests of
	// back-pressure. The message can be read when its receipt is given. Default 0.
	Delay time.Duration
}

// Engine is an engine.Engine.
type Engine struct {
	opts Options

	mu     sync.Mutex
	closed bool
	queues map[string]*queueState
	logs   map[string]*logState
	open   map[interface{ Close() error }]struct{} // handles
}

var _ engine.Engine = (*Engine)(nil)

// New returns an engine without messages.
func New(opts Options) *Engine {
	if opts.MaxMessage == 0 {
		opts.MaxMessage = 1 << 20
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 64 << 20
	}
	return &Engine{
		opts:   opts,
		queues: make(map[string]*queueState),
		logs:   make(map[string]*logState),
		open:   make(map[interface{ Close() error }]struct{}),
	}
}

// Guarantee returns engine.Volatile.
func (e *Engine) Guarantee() engine.Guarantee { return engine.Volatile }

// Queue implements engine.Engine.
func (e *Engine) Queue(_ context.Context, name string, cfg engine.QueueConfig) (engine.Queue, error) {
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	if cfg.MaxBytes < 0 || cfg.MaxBytes > e.opts.MaxBytes {
		cfg.MaxBytes = e.opts.MaxBytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	s := e.queues[name]
	if s == nil {
		s = newQueueState(name, e.opts.Options)
		e.queues[name] = s
	}
	s.configure(cfg)
	q := &queue{engine: e, state: s, closed: make(chan struct{})}
	q.putter = newPutter(cfg.MaxOutstanding, e.opts.Delay)
	e.open[q] = struct{}{}
	return q, nil
}

// Log implements engine.Engine.
func (e *Engine) Log(_ context.Context, name string, cfg engine.LogConfig) (engine.Log, error) {
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	if cfg.MaxBytes < 0 || cfg.MaxBytes > e.opts.MaxBytes {
		cfg.MaxBytes = e.opts.MaxBytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, engine.ErrClosed
	}
	s := e.logs[name]
	if s == nil {
		s = newLogState()
		e.logs[name] = s
	}
	s.configure(cfg)
	l := &log{engine: e, state: s, closed: make(chan struct{})}
	l.putter = newPutter(cfg.MaxOutstanding, e.opts.Delay)
	e.open[l] = struct{}{}
	return l, nil
}

// Close implements engine.Engine. The messages are gone.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return engine.ErrClosed
	}
	e.closed = true
	var handles []interface{ Close() error }
	for h := range e.open {
		handles = append(handles, h)
	}
	e.mu.Unlock()
	for _, h := range handles {
		_ = h.Close() // a caller may have closed it meanwhile
	}
	for _, s := range e.queues {
		s.stopTimers()
	}
	return nil
}

// forget removes a closed handle.
func (e *Engine) forget(h interface{ Close() error }) {
	e.mu.Lock()
	delete(e.open, h)
	e.mu.Unlock()
}

// checkSize returns an error that wraps ErrTooLarge if a message is larger than
// MaxMessage, and the size otherwise.
func (e *Engine) checkSize(head int, frames [][]byte) (int64, error) {
	size := int64(head)
	for _, f := range frames {
		size += int64(len(f))
	}
	if size > e.opts.MaxMessage {
		return 0, fmt.Errorf("%w: %d octets, limit %d", engine.ErrTooLarge, size, e.opts.MaxMessage)
	}
	return size, nil
}

// clone copies frames into one new buffer.
func clone(frames [][]byte) [][]byte {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	buf := make([]byte, 0, size)
	out := make([][]byte, len(frames))
	for i, f := range frames {
		start := len(buf)
		buf = append(buf, f...)
		out[i] = buf[start:len(buf):len(buf)]
	}
	return out
}
