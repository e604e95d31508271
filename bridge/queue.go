package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/dispatch"
	"lintel.dev/zmq"
)

// Defaults of QueueConfig.
const (
	DefaultMaxWorkers = 1000
	DefaultMaxCredit  = 1000
	DefaultDeadAfter  = 3 * time.Second
)

// QueueConfig configures a Queue. A field names the socket type of the peers that
// connect to its endpoints.
type QueueConfig struct {
	// Engine configures the queue of the engine.
	Engine engine.QueueConfig

	// Producers of each type connect to these endpoints.
	ReqProducers, DealerProducers, PushProducers []string
	// Workers of each type connect to these endpoints.
	ReqWorkers, DealerWorkers, PullWorkers []string

	MaxWorkers int           // REQ and DEALER workers; DefaultMaxWorkers if 0
	MaxCredit  int           // jobs that one worker may hold; DefaultMaxCredit if 0
	DeadAfter  time.Duration // silence after which a DEALER worker is dead; DefaultDeadAfter if 0

	// Options are those of all sockets, such as zmq.WithCurveServer.
	Options []zmq.Option
	// Logger receives errors of the engine that no reply reports. Nil discards
	// them.
	Logger *slog.Logger
}

// A Queue serves one work queue. It runs from NewQueue to Close.
type Queue struct {
	name      string
	guarantee engine.Guarantee
	cfg       QueueConfig
	queue     engine.Queue
	logger    *slog.Logger

	intake    *intake
	producers []producerSocket
	pull      *zmq.Pull // of PUSH producers, or nil
	desk      *dispatch.Desk
	workers   map[dispatch.Kind]*zmq.Router
	push      *zmq.Push // of PULL workers, or nil
	pushed    counter   // jobs handed to push

	endpoints map[string][]string
	serving   sync.WaitGroup // goroutines
	stop      context.CancelFunc
	ops       sync.WaitGroup // calls of the engine on behalf of workers
}

// opTimeout bounds a call of the engine on behalf of a worker.
const opTimeout = 10 * time.Second

// retryEngine is the wait after an error of the engine.
const retryEngine = time.Second

// NewQueue opens the queue with this name of an engine, binds the endpoints and
// serves them. It fails without an endpoint.
func NewQueue(ctx context.Context, e engine.Engine, name string, cfg QueueConfig) (*Queue, error) {
	if cfg.MaxWorkers < 0 || cfg.MaxCredit < 0 || cfg.DeadAfter < 0 {
		return nil, fmt.Errorf("bridge: queue %s: negative bound: workers %d, credit %d, dead after %v", name, cfg.MaxWorkers, cfg.MaxCredit, cfg.DeadAfter)
	}
	cfg.MaxWorkers = orDefault(cfg.MaxWorkers, DefaultMaxWorkers)
	cfg.MaxCredit = orDefault(cfg.MaxCredit, DefaultMaxCredit)
	cfg.DeadAfter = orDefault(cfg.DeadAfter, DefaultDeadAfter)
	q := &Queue{
		name: name, guarantee: e.Guarantee(), cfg: cfg, logger: orDiscard(cfg.Logger),
		workers: make(map[dispatch.Kind]*zmq.Router), endpoints: make(map[string][]string),
	}
	queue, err := e.Queue(ctx, name, cfg.Engine)
	if err != nil {
		return nil, fmt.Errorf("bridge: open queue %s: %w", name, err)
	}
	q.queue = queue
	q.intake = &intake{put: q.put}
	q.desk = dispatch.New(dispatch.Config{
		MaxWorkers: cfg.MaxWorkers, MaxCredit: cfg.MaxCredit, DeadAfter: cfg.DeadAfter,
		Send: q.sendWorker, Start: q.start, Alive: q.connected,
	})
	if err := q.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("bridge: queue %s: %w", name, err), q.closeSockets(ctx), queue.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	q.stop = stop
	q.serve(run)
	return q, nil
}

func orDefault[T int | time.Duration](n, otherwise T) T {
	if n == 0 {
		return otherwise
	}
	return n
}

func orDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// bind makes the sockets.
func (q *Queue) bind() (err error) {
	c := &q.cfg
	if q.producers, q.pull, err = bindProducers(c.ReqProducers, c.DealerProducers, c.PushProducers, c.Options, q.bound); err != nil {
		return err
	}
	for _, w := range []struct {
		kind      dispatch.Kind
		endpoints []string
	}{{dispatch.Req, c.ReqWorkers}, {dispatch.Dealer, c.DealerWorkers}} {
		if len(w.endpoints) == 0 {
			continue
		}
		// The mark has room for all jobs that a worker may hold, and for as many
		// replies.
		router, err := newRouter(c.Options, zmq.WithOption("router_notify", "2"), zmq.WithHWM(2*c.MaxCredit))
		if err != nil {
			return err
		}
		q.workers[w.kind] = router
		if err := bindAll(router, w.endpoints, "out "+w.kind.String(), q.bound); err != nil {
			return err
		}
	}
	if len(c.PullWorkers) > 0 {
		// The mark is the smallest: what is queued for a worker is lost with it.
		if q.push, err = zmq.NewPush(with(c.Options, zmq.WithHWM(1))...); err != nil {
			return err
		}
		if err := bindAll(q.push, c.PullWorkers, "out PULL", q.bound); err != nil {
			return err
		}
	}
	if len(q.endpoints) == 0 {
		return errors.New("no endpoint for producers or workers")
	}
	return nil
}

func (q *Queue) bound(what, addr string) { q.endpoints[what] = append(q.endpoints[what], addr) }

// Endpoints returns the addresses that the queue is bound to, by direction and
// socket type of the peers, such as "in REQ" and "out DEALER".
func (q *Queue) Endpoints() map[string][]string { return q.endpoints }

// put is the intake's way into the engine.
func (q *Queue) put(ctx context.Context, id []byte, frames [][]byte, done func(engine.Receipt, error)) error {
	return q.queue.Put(ctx, engine.Message{ID: string(id), Frames: frames}, done)
}

// serve starts the goroutines.
func (q *Queue) serve(ctx context.Context) {
	for _, p := range q.producers {
		q.serving.Go(func() { q.intake.serve(ctx, p) })
	}
	if q.pull != nil {
		q.serving.Go(func() { q.intake.serveUnacknowledged(ctx, q.pull, q.cfg.Engine.WithDefaults().MaxOutstanding) })
	}
	for kind, router := range q.workers {
		q.serving.Go(func() { q.receive(ctx, kind, router) })
	}
	if len(q.workers) > 0 {
		q.serving.Go(func() { q.fetch(ctx) })
		q.serving.Go(func() { q.tick(ctx) })
	}
	if q.push != nil {
		q.serving.Go(func() { q.pushJobs(ctx) })
	}
}

// Close ends the queue: it reads no more messages, waits for the results of
// outstanding puts and sends the replies, gives unfinished jobs back to the
// engine, and closes the sockets. ctx bounds the waits. Puts without a result then
// stay unanswered.
func (q *Queue) Close(ctx context.Context) error {
	q.stop()
	q.serving.Wait()
	err := wait(ctx, &q.intake.outstanding)
	q.desk.Close()
	err = errors.Join(err, wait(ctx, &q.ops), q.queue.Close(), q.closeSockets(ctx))
	q.ops.Wait() // the engine's queue is closed: what waited for it returns
	if err != nil {
		return fmt.Errorf("bridge: close queue %s: %w", q.name, err)
	}
	return nil
}

func (q *Queue) closeSockets(ctx context.Context) error {
	var sockets []zmq.Socket
	for _, p := range q.producers {
		sockets = append(sockets, p.router)
	}
	if q.pull != nil {
		sockets = append(sockets, q.pull)
	}
	for _, r := range q.workers {
		sockets = append(sockets, r)
	}
	if q.push != nil {
		sockets = append(sockets, q.push)
	}
	return closeAll(ctx, sockets)
}

// closeAll closes sockets at the same time, each until ctx is done.
func closeAll(ctx context.Context, sockets []zmq.Socket) error {
	errs := make([]error, len(sockets))
	var wg sync.WaitGroup
	for i, s := range sockets {
		wg.Go(func() { errs[i] = s.CloseContext(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// wait waits for wg until ctx is done.
func wait(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
