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

// maxPending bounds the publishes that the library has in flight, over all queues
// and logs. It is never reached: the windows of the queues and logs are smaller.
const maxPending = 1 << 20

// sender is the asynchronous side of an Engine. It exists once, because the
// library can leave a goroutine behind when a context for publishing is given up
// before the connection.
type sender struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	timeout time.Duration // of a put, over all attempts

	mu      sync.Mutex
	pending map[*nats.Msg]*put
}

// put is a message without a result.
type put struct {
	owner *publisher
	done  func(engine.Receipt, error)
	again bool        // an attempt whose outcome is unknown may be repeated: the message has an ID
	until time.Time   // no attempt begins later
	retry *time.Timer // nil: an attempt is under way
}

func newSender(nc *nats.Conn, timeout time.Duration) (*sender, error) {
	s := &sender{nc: nc, timeout: timeout, pending: make(map[*nats.Msg]*put)}
	var err error
	s.js, err = jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(maxPending),
		jetstream.WithPublishAsyncTimeout(timeout/attempts),
		jetstream.WithPublishAsyncAckHandler(s.acked),
		jetstream.WithPublishAsyncErrHandler(s.failed))
	if err != nil {
		return nil, fmt.Errorf("jetstream: context for publishing: %w", err)
	}
	return s, nil
}

// acked is called by the library with the server's receipt.
func (s *sender) acked(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	s.finish(m, engine.Receipt{Seq: ack.Sequence, Duplicate: ack.Duplicate}, nil)
}

// failed is called by the library when an attempt failed. The message is
// published again if that cannot store it twice.
func (s *sender) failed(_ jetstream.JetStream, m *nats.Msg, err error) {
	known, err := classify(err)
	s.mu.Lock()
	w := s.pending[m]
	if w == nil {
		s.mu.Unlock()
		return
	}
	repeat := known == unsent || known == unknown && w.again
	if repeat && time.Now().Add(retryAfter).Before(w.until) {
		w.retry = time.AfterFunc(retryAfter, func() { s.retry(m) })
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.finish(m, engine.Receipt{}, err)
}

// retry publishes m again, unless it has a result meanwhile.
func (s *sender) retry(m *nats.Msg) {
	s.mu.Lock()
	w := s.pending[m]
	if w != nil {
		w.retry = nil
	}
	s.mu.Unlock()
	if w != nil {
		s.publish(m)
	}
}

// publish begins an attempt.
func (s *sender) publish(m *nats.Msg) {
	if _, err := s.js.PublishMsgAsync(m); err != nil {
		s.failed(s.js, m, err)
	}
}

// finish passes the result to the caller of put, once.
func (s *sender) finish(m *nats.Msg, r engine.Receipt, err error) {
	s.mu.Lock()
	w := s.pending[m]
	delete(s.pending, m)
	s.mu.Unlock()
	if w != nil {
		w.done(r, err)
		<-w.owner.slots
	}
}

// publisher is the window of one Queue or Log.
type publisher struct {
	*sender
	slots  chan struct{} // one element for each put without a result
	quit   chan struct{}
	closed bool // guarded by sender.mu
}

func newPublisher(s *sender, outstanding int) *publisher {
	return &publisher{sender: s, slots: make(chan struct{}, outstanding), quit: make(chan struct{})}
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
	w := &put{owner: p, done: done, again: m.Header.Get(headerID) != "", until: time.Now().Add(p.timeout)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return engine.ErrClosed
	}
	p.pending[m] = w
	p.mu.Unlock()
	p.publish(m)
	return nil
}

// close ends outstanding puts with ErrClosed. Their messages may be stored.
func (p *publisher) close() {
	var ended []*put
	p.mu.Lock()
	p.closed = true
	for m, w := range p.pending {
		if w.owner == p {
			ended = append(ended, w)
			delete(p.pending, m)
		}
	}
	p.mu.Unlock()
	close(p.quit)
	for _, w := range ended {
		if w.retry != nil {
			w.retry.Stop()
		}
		w.done(engine.Receipt{}, engine.ErrClosed)
	}
}
