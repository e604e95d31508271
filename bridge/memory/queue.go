package memory

import (
	"context"
	"iter"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
)

// queue is a handle on a queueState.
type queue struct {
	engine *Engine
	state  *queueState
	*putter

	once   sync.Once
	closed chan struct{}
}

var _ engine.Queue = (*queue)(nil)

// Put implements engine.Queue. It copies m.
func (q *queue) Put(ctx context.Context, m engine.Message, done func(engine.Receipt, error)) error {
	if err := m.Check(); err != nil {
		return err
	}
	size, err := q.engine.checkSize(len(m.ID), m.Frames)
	if err != nil {
		return err
	}
	m.Frames = clone(m.Frames)
	return q.put(ctx, func() (engine.Receipt, error) { return q.state.add(m, size) }, done)
}

// Get implements engine.Queue.
func (q *queue) Get(ctx context.Context, n int) ([]engine.Job, error) {
	for {
		if q.isClosed() {
			return nil, engine.ErrClosed
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		jobs, changed := q.state.take(q, max(n, 1))
		if len(jobs) > 0 {
			return jobs, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-q.closed:
		}
	}
}

// Dead implements engine.Queue.
func (q *queue) Dead(ctx context.Context) iter.Seq2[engine.DeadLetter, error] {
	return func(yield func(engine.DeadLetter, error) bool) {
		if q.isClosed() {
			yield(engine.DeadLetter{}, engine.ErrClosed)
			return
		}
		q.state.mu.Lock()
		dead := q.state.dead[:len(q.state.dead):len(q.state.dead)] // append-only
		q.state.mu.Unlock()
		for _, d := range dead {
			if ctx.Err() != nil {
				yield(engine.DeadLetter{}, context.Cause(ctx))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Info implements engine.Queue.
func (q *queue) Info(ctx context.Context) (engine.QueueInfo, error) {
	if ctx.Err() != nil {
		return engine.QueueInfo{}, context.Cause(ctx)
	}
	if q.isClosed() {
		return engine.QueueInfo{}, engine.ErrClosed
	}
	return q.state.info(), nil
}

// Close implements engine.Queue.
func (q *queue) Close() error {
	err := engine.ErrClosed
	q.once.Do(func() {
		err = nil
		close(q.closed)
		q.putter.close()
		q.state.release(q)
		q.engine.forget(q)
	})
	return err
}

func (q *queue) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// job is one delivery of an item. It is the holder of the item while item.job
// points to it.
type job struct {
	q          *queue
	item       *item
	deliveries int
}

var _ engine.Job = (*job)(nil)

// Message implements engine.Job.
func (j *job) Message() engine.Message { return j.item.message }

// Seq implements engine.Job.
func (j *job) Seq() uint64 { return j.item.seq }

// Deliveries implements engine.Job.
func (j *job) Deliveries() int { return j.deliveries }

// Ack implements engine.Job.
func (j *job) Ack(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return j.q.state.finish(j, func(s *queueState) { s.remove(j.item) })
}

// Nak implements engine.Job.
func (j *job) Nak(delay time.Duration) error {
	return j.q.state.finish(j, func(s *queueState) { s.giveBack(j.item, delay) })
}

// Progress implements engine.Job.
func (j *job) Progress() error {
	s := j.q.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := j.held(); err != nil {
		return err
	}
	s.startTimer(j.item, s.cfg.AckWait)
	return nil
}

// Term implements engine.Job.
func (j *job) Term(ctx context.Context, reason string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e engine.Event
	err := j.q.state.finish(j, func(s *queueState) { e = s.bury(j.item, reason) })
	if err == nil {
		j.q.state.opts.Emit(e)
	}
	return err
}

// held returns an error if j does not hold its item. The state is locked.
func (j *job) held() error {
	if j.q.isClosed() {
		return engine.ErrClosed
	}
	if j.item.job != j {
		return engine.ErrLate
	}
	return nil
}
