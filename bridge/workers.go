package bridge

import (
	"context"
	"errors"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/dispatch"
	"lintel.dev/bridge/internal/protocol"
	"lintel.dev/zmq"
)

// maxFetch bounds the jobs of one Get.
const maxFetch = 256

// receive passes the messages of workers on to the desk.
func (q *Queue) receive(ctx context.Context, kind dispatch.Kind, router *zmq.Router) {
	for {
		frames, peer, err := router.RecvFrom(ctx)
		if err != nil {
			return // ctx is done
		}
		m, err := protocol.Split(frames)
		switch {
		case err != nil:
			q.desk.Counters.Invalid.Add(1)
		case m.Gone:
			q.desk.Gone(kind, m.Peer, peer.Address)
		default:
			q.desk.Receive(kind, peer.Address, m, time.Now())
		}
	}
}

// fetch takes jobs from the engine while workers have room for them.
func (q *Queue) fetch(ctx context.Context) {
	for {
		n, room, err := q.desk.Want(ctx)
		if err != nil {
			return // ctx is done
		}
		jobs, err := q.queue.Get(room, min(n, maxFetch))
		if err != nil && room.Err() == nil {
			q.engineFailed(ctx, "get", err)
		}
		q.desk.Deliver(jobs)
	}
}

// engineFailed logs an error of the engine and waits before the next attempt.
func (q *Queue) engineFailed(ctx context.Context, op string, err error) {
	q.logger.Warn("bridge: engine failed", "queue", q.name, "operation", op, "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(retryEngine):
	}
}

// tick looks after silent workers.
func (q *Queue) tick(ctx context.Context) {
	t := time.NewTicker(min(time.Second, q.cfg.DeadAfter/2))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			q.desk.Tick(now)
		}
	}
}

// sendWorker is the Send of the desk.
func (q *Queue) sendWorker(kind dispatch.Kind, frames [][]byte) error {
	return q.workers[kind].TrySend(frames)
}

func (q *Queue) connected(kind dispatch.Kind, peer string) bool {
	return q.workers[kind].HasPeer([]byte(peer))
}

// start is the desk's Start.
func (q *Queue) start(op func(context.Context) error, done func(error)) {
	q.ops.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
		defer cancel()
		done(op(ctx))
	})
}

// pushJobs hands jobs to PULL workers. A job counts as done when the socket has
// taken it.
func (q *Queue) pushJobs(ctx context.Context) {
	var room zmq.Poller
	defer room.Close()
	if err := room.Set(zmq.PollItem{Socket: q.push, Send: true}); err != nil {
		return // the socket is closed
	}
	for {
		if _, err := room.Wait(ctx); err != nil {
			return
		}
		jobs, err := q.queue.Get(ctx, 1)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			q.engineFailed(ctx, "get", err)
			continue
		}
		for _, job := range jobs {
			q.pushJob(ctx, job)
		}
	}
}

// pushJob hands one job to a worker. While none has room, it keeps the job. An
// acknowledgement that fails makes the engine deliver the job again.
func (q *Queue) pushJob(ctx context.Context, job engine.Job) {
	for {
		attempt, cancel := context.WithTimeout(ctx, q.cfg.Engine.WithDefaults().AckWait/3)
		err := q.push.Send(attempt, job.Message().Frames)
		cancel()
		switch {
		case err == nil:
			q.pushed.Add(1)
			q.start(job.Ack, func(err error) {
				if err != nil {
					q.logger.Warn("bridge: job pushed and not acknowledged", "queue", q.name, "seq", job.Seq(), "error", err)
				}
			})
			return
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || job.Progress() != nil:
			q.start(func(context.Context) error { return job.Nak(0) }, func(error) {})
			return
		}
	}
}
