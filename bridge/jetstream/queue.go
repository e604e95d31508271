package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// consumerName is the durable consumer of a queue, shared by all bridges.
const consumerName = "bridge"

func queueStream(name string) string { return "Q_" + name }
func deadStream(name string) string  { return "D_" + name }

// queue is an engine.Queue.
type queue struct {
	engine *Engine
	name   string
	cfg    engine.QueueConfig
	life   string // names this life of the stream in the subjects of dead letters
	out    *publisher
	in     *puller

	damaged, moved atomic.Uint64
	once           sync.Once

	mu     sync.Mutex
	jobs   map[uint64]*job // unfinished, by sequence
	closed bool
}

var _ engine.Queue = (*queue)(nil)

// create makes the streams and the consumer as configured.
func (q *queue) create(ctx context.Context) error {
	js, cfg := q.engine.js, q.engine.cfg
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:       queueStream(q.name),
		Subjects:   []string{"Q." + q.name},
		Retention:  jetstream.WorkQueuePolicy,
		Discard:    jetstream.DiscardNew,
		Storage:    q.engine.storage(),
		Replicas:   cfg.Replicas,
		MaxBytes:   q.cfg.MaxBytes,
		Duplicates: q.cfg.Dedup,
	})
	if err != nil {
		return fmt.Errorf("jetstream: stream of queue %s: %w", q.name, err)
	}
	created := stream.CachedInfo().Created
	q.life = fmt.Sprint(created.UnixNano())
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        deadStream(q.name),
		Subjects:    []string{"D." + q.name + ".>"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Storage:     q.engine.storage(),
		Replicas:    cfg.Replicas,
		AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("jetstream: dead letters of queue %s: %w", q.name, err)
	}
	return q.createConsumer(ctx)
}

func (q *queue) createConsumer(ctx context.Context) error {
	_, err := q.engine.js.CreateOrUpdateConsumer(ctx, queueStream(q.name), jetstream.ConsumerConfig{
		Durable:       consumerName,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       q.cfg.AckWait,
		MaxDeliver:    -1, // see the package comment
		MaxAckPending: q.cfg.MaxUnacked,
	})
	if err != nil {
		return fmt.Errorf("jetstream: consumer of queue %s: %w", q.name, err)
	}
	return nil
}

// Put implements engine.Queue.
func (q *queue) Put(ctx context.Context, m engine.Message, done func(engine.Receipt, error)) error {
	if err := m.Check(); err != nil {
		return err
	}
	return q.out.put(ctx, encode("Q."+q.name, m.ID, nil, m.Frames), done)
}

// Get implements engine.Queue.
func (q *queue) Get(ctx context.Context, n int) ([]engine.Job, error) {
	for {
		msgs, err := q.in.fetch(ctx, max(n, 1))
		if errors.Is(err, errGone) {
			// A server restarts, a leader is elected, or the consumer was deleted.
			if err := pause(ctx, retryAfter); err != nil {
				return nil, err
			}
			_ = q.engine.request(ctx, q.createConsumer) // tried again if the next request fails too
			continue
		}
		if err != nil {
			return nil, err
		}
		var jobs []engine.Job
		for _, m := range msgs {
			j, err := q.job(ctx, m)
			if err != nil {
				q.engine.failed(q.engine.nc, nil, err)
			}
			if j != nil {
				jobs = append(jobs, j)
			}
		}
		if len(jobs) > 0 {
			return jobs, nil
		}
	}
}

// job returns the job of a delivery, or nil if the message moved to the dead
// letters. If it should have and could not, it is delivered again after AckWait.
func (q *queue) job(ctx context.Context, m *nats.Msg) (engine.Job, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("jetstream: message of queue %s: %w", q.name, err)
	}
	j := &job{q: q, msg: m, seq: meta.Sequence.Stream, deliveries: int(meta.NumDelivered)}
	var reason string
	j.message, _, err = decode(m.Header, m.Data)
	switch {
	case err != nil:
		reason = engine.ReasonDamaged
	case q.cfg.MaxDeliver > 0 && j.deliveries > q.cfg.MaxDeliver:
		reason = engine.ReasonDeliveries
		j.deliveries-- // this one reaches no worker
	}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		giveBack(m)
		return nil, nil
	}
	q.jobs[j.seq] = j
	q.mu.Unlock()
	if reason == "" {
		return j, nil
	}
	if reason == engine.ReasonDamaged {
		q.damaged.Add(1)
		q.engine.cfg.Emit(engine.Event{Kind: engine.Damaged, Name: q.name, Seq: j.seq, Deliveries: j.deliveries, Reason: err.Error()})
	}
	return nil, j.Term(context.WithoutCancel(ctx), reason)
}

// Info implements engine.Queue.
func (q *queue) Info(ctx context.Context) (engine.QueueInfo, error) {
	if q.isClosed() {
		return engine.QueueInfo{}, engine.ErrClosed
	}
	var info engine.QueueInfo
	err := q.engine.request(ctx, func(ctx context.Context) error {
		stream, err := q.engine.js.Stream(ctx, queueStream(q.name))
		if err != nil {
			return fmt.Errorf("jetstream: queue %s: %w", q.name, err)
		}
		consumer, err := stream.Consumer(ctx, consumerName)
		if err != nil {
			return fmt.Errorf("jetstream: consumer of queue %s: %w", q.name, err)
		}
		dead, err := q.engine.js.Stream(ctx, deadStream(q.name))
		if err != nil {
			return fmt.Errorf("jetstream: dead letters of queue %s: %w", q.name, err)
		}
		state, unacked := stream.CachedInfo().State, uint64(consumer.CachedInfo().NumAckPending)
		info = engine.QueueInfo{
			Waiting: state.Msgs - min(unacked, state.Msgs),
			Unacked: unacked,
			Bytes:   state.Bytes,
			Last:    state.LastSeq,
			Dead:    dead.CachedInfo().State.Msgs,
			Damaged: q.damaged.Load(),
			Moved:   q.moved.Load(),
		}
		return nil
	})
	return info, err
}

// Close implements engine.Queue.
func (q *queue) Close() error {
	err := engine.ErrClosed
	q.once.Do(func() {
		err = nil
		q.out.close()
		q.in.close()
		q.mu.Lock()
		q.closed = true
		jobs := q.jobs
		q.jobs = nil
		q.mu.Unlock()
		for _, j := range jobs {
			giveBack(j.msg)
		}
		q.engine.forget(q)
	})
	return err
}

// lost implements handle.
func (q *queue) lost() { q.in.lost() }

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// giveBack returns a message to the server for another delivery at once. If the
// connection is down, AckWait does it.
func giveBack(m *nats.Msg) { _ = m.Nak() }

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
