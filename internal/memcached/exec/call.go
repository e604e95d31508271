package exec

import (
	"bytes"
	"context"
	"sync"

	"lintel.dev/internal/memcached/netloop"
)

// Call is a lookup whose answer comes later, from any goroutine. The connection
// that made it handles no further command until [Call.Answer]; its replies keep
// the order of the requests.
type Call struct {
	Key []byte // valid for the whole call

	ctx    context.Context
	cancel context.CancelFunc
	wake   func()

	mu     sync.Mutex // guards what follows
	done   bool
	result Result
}

// Result is the answer of a Call.
type Result struct {
	Found bool
	Value []byte // not changed after Answer
	Flags uint32
	CAS   uint64
	Err   error // the lookup failed; its text is one line
}

// Context ends when the client is gone or the server shuts down.
func (c *Call) Context() context.Context { return c.ctx }

// Answer completes the call. Only the first answer counts, and none after the
// end of the connection.
func (c *Call) Answer(r Result) {
	c.mu.Lock()
	first := !c.done
	if first {
		c.done, c.result = true, r
	}
	c.mu.Unlock()
	if first {
		c.wake()
	}
}

// take returns the result, once there is one.
func (c *Call) take() (r Result, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.result, c.done
}

// pendingCall is a Call as the pending command of its connection.
type pendingCall struct {
	Call
	encode func(b *Batch, key []byte, r *Result)
}

// StartCall calls start with a Call for a copy of key, which becomes the pending
// command of the connection. encode appends the reply to the result.
func (b *Batch) StartCall(start func(*Call), key []byte, encode func(b *Batch, key []byte, r *Result)) {
	p := &pendingCall{Call: Call{Key: bytes.Clone(key), wake: b.Conn.Net.Wake}, encode: encode}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	b.Conn.Pending = p
	start(&p.Call)
}

// Step implements Pending.
func (p *pendingCall) Step(b *Batch, _ []byte) (n int, step netloop.Step) {
	r, ok := p.take()
	if !ok {
		return 0, netloop.Wait
	}
	p.cancel()
	p.encode(b, p.Key, &r)
	return 0, netloop.Next
}

// Stop implements Pending.
func (p *pendingCall) Stop(*Engine) { p.cancel() }
