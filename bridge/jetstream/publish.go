package jetstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// A message is published at most this often within PutTimeout, apart from
// attempts that end early.
const attempts = 4

// retryAfter is the time between attempts.
const retryAfter = 250 * time.Millisecond

// publisher is the asynchronous side of one Queue or Log.
type publisher struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	timeout time.Duration // of a put, over all attempts
	slots   chan struct{} // one element for each put without a result
	quit    chan struct{}

	mu      sync.Mutex
	pending map[*nats.Msg]*put
	closed  bool
}

// put is a message without a result.
type put struct {
	done  func(engine.Receipt, error)
	again bool        // an attempt whose outcome is unknown may be repeated: the message has an ID
	until time.Time   // no attempt begins later
	retry *time.Timer // nil: an attempt is under way
}

func newPublisher(nc *nats.Conn, outstanding int, timeout time.Duration) (*publisher, error) {
	p := &publisher{
		nc:      nc,
		timeout: timeout,
		slots:   make(chan struct{}, outstanding),
		quit:    make(chan struct{}),
		pending: make(map[*nats.Msg]*put),
	}
	var err error
	p.js, err = jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(outstanding), // never reached: slots are fewer or equal
		jetstream.WithPublishAsyncTimeout(timeout/attempts),
		jetstream.WithPublishAsyncAckHandler(p.acked),
		jetstream.WithPublishAsyncErrHandler(p.failed))
	if err != nil {
		return nil, fmt.Errorf("jetstream: context for publishing: %w", err)
	}
	return p, nil
}

// put publishes m when fewer than the allowed number are outstanding.
func (p *publisher) put(ctx context.Context, m *nats.Msg, done func(engine.Receipt, error)) error {
	if err := checkSize(m, p.nc.MaxPayload()); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.quit:
		return engine.ErrClosed
	}
	w := &put{done: done, again: m.Header.Get(headerID) != "", until: time.Now().Add(p.timeout)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return engine.ErrClosed
	}
	p.pending[m] = w
	p.mu.Unlock()
	if _, err := p.js.PublishMsgAsync(m); err != nil {
		p.failed(p.js, m, err)
	}
	return nil
}

// acked is called by the library with the server's receipt.
func (p *publisher) acked(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	p.finish(m, engine.Receipt{Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil)
}

// failed is called by the library when an attempt failed. The message is
// published again if that cannot store it twice.
func (p *publisher) failed(_ jetstream.JetStream, m *nats.Msg, err error) {
	known, err := classify(err)
	p.mu.Lock()
	w := p.pending[m]
	if w == nil {
		p.mu.Unlock()
		return
	}
	repeat := known == unsent || known == unknown && w.again
	if repeat && time.Now().Add(retryAfter).Before(w.until) {
		w.retry = time.AfterFunc(retryAfter, func() { p.retry(m) })
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.finish(m, engine.Receipt{}, err)
}

// retry publishes m again, unless it has a result meanwhile.
func (p *publisher) retry(m *nats.Msg) {
	p.mu.Lock()
	w := p.pending[m]
	if w == nil {
		p.mu.Unlock()
		return
	}
	w.retry = nil
	p.mu.Unlock()
	if _, err := p.js.PublishMsgAsync(m); err != nil {
		p.failed(p.js, m, err)
	}
}

// finish passes the result to the caller of put, once.
func (p *publisher) finish(m *nats.Msg, r engine.Receipt, err error) {
	p.mu.Lock()
	w := p.pending[m]
	delete(p.pending, m)
	p.mu.Unlock()
	if w != nil {
		w.done(r, err)
		<-p.slots
	}
}

// close ends outstanding puts with ErrClosed. Their messages may be stored.
func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	pending := p.pending
	p.pending = make(map[*nats.Msg]*put)
	p.mu.Unlock()
	close(p.quit)
	for _, w := range pending {
		if w.retry != nil {
			w.retry.Stop()
		}
		w.done(engine.Receipt{}, engine.ErrClosed)
	}
	p.js.CleanupPublisher()
}
