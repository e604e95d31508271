package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/engine"
)

// job is an engine.Job.
type job struct {
	q          *queue
	msg        *nats.Msg
	message    engine.Message
	seq        uint64
	deliveries int

	mu sync.Mutex // held while the job is being finished
}

var _ engine.Job = (*job)(nil)

// Message implements engine.Job.
func (j *job) Message() engine.Message { return j.message }

// Seq implements engine.Job.
func (j *job) Seq() uint64 { return j.seq }

// Deliveries implements engine.Job.
func (j *job) Deliveries() int { return j.deliveries }

// Ack implements engine.Job. It returns when the server has confirmed.
func (j *job) Ack(ctx context.Context) error {
	return j.finish(func() error { return j.confirm(ctx) })
}

// Nak implements engine.Job.
func (j *job) Nak(delay time.Duration) error {
	return j.finish(func() error {
		if err := j.msg.NakWithDelay(delay); err != nil {
			return fmt.Errorf("jetstream: nak: %w", err)
		}
		return nil
	})
}

// Progress implements engine.Job.
func (j *job) Progress() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.held(); err != nil {
		return err
	}
	if err := j.msg.InProgress(); err != nil {
		return fmt.Errorf("jetstream: progress: %w", err)
	}
	return nil
}

// Term implements engine.Job. It stores the dead letter and then acknowledges the
// message. A crash between the two delivers the message again.
func (j *job) Term(ctx context.Context, reason string) error {
	err := j.finish(func() error {
		if err := j.q.bury(ctx, j, reason); err != nil {
			return err
		}
		return j.confirm(ctx)
	})
	if err != nil {
		return err
	}
	j.q.moved.Add(1)
	j.q.engine.cfg.Emit(engine.Event{Kind: engine.DeadLettered, Name: j.q.name, Seq: j.seq, Deliveries: j.deliveries, Reason: reason})
	return nil
}

// confirm acknowledges the message and waits for the server's answer.
func (j *job) confirm(ctx context.Context) error {
	return j.q.engine.request(ctx, func(ctx context.Context) error {
		if err := j.msg.AckSync(nats.Context(ctx)); err != nil && !errors.Is(err, nats.ErrMsgAlreadyAckd) {
			return fmt.Errorf("jetstream: ack: %w", err)
		}
		return nil
	})
}

// finish ends the job by end. If end fails the job is still held.
func (j *job) finish(end func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.held(); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	j.q.mu.Lock()
	defer j.q.mu.Unlock()
	if j.q.jobs[j.seq] == j {
		delete(j.q.jobs, j.seq)
	}
	return nil
}

// held returns an error if this process has a later delivery of the message, or
// has finished the job.
func (j *job) held() error {
	j.q.mu.Lock()
	defer j.q.mu.Unlock()
	switch {
	case j.q.closed:
		return engine.ErrClosed
	case j.q.jobs[j.seq] != j:
		return engine.ErrLate
	}
	return nil
}
