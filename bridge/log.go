package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/protocol"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

// LogConfig configures a Log. A field named after producers has the endpoints to
// which producers of that socket type connect.
type LogConfig struct {
	// Engine configures the log of the engine.
	Engine engine.LogConfig

	// Producers send messages of two frames: a topic and a body.
	ReqProducers, DealerProducers, PushProducers, PubProducers []string
	// Live and Control are the endpoints of the feed, see feed.Source.
	Live, Control []string

	// Ring is how many messages are replayed from memory, feed.DefaultMaxMessages if
	// 0. Older ones are read from the engine.
	Ring int

	// Options are those of all sockets, such as zmq.WithCurveServer.
	Options []zmq.Option
	// Logger receives errors of the engine that no reply reports. Nil discards
	// them.
	Logger *slog.Logger
}

// A Log appends the messages of producers to a log of an engine and publishes the
// log as a feed. The positions of the feed are those of the log, so that all
// bridges of a log publish the same feed, and a restarted bridge goes on with it.
// It runs from NewLog to Close.
type Log struct {
	name      string
	guarantee engine.Guarantee
	log       engine.Log
	logger    *slog.Logger
	publisher *feed.Publisher

	intake    *intake
	producers []producerSocket
	pull      *zmq.Pull // of PUSH producers, or nil
	sub       *zmq.Sub  // of PUB producers, or nil

	endpoints map[string][]string
	first     atomic.Uint64 // position of the oldest entry, as of the last look
	published counter
	skipped   counter // entries that are no messages of a feed
	serving   sync.WaitGroup
	stop      context.CancelFunc
}

// lookInterval is the time between two questions for the oldest entry of a log.
const lookInterval = 5 * time.Second

// NewLog opens the log with this name of an engine, binds the endpoints and serves
// them.
func NewLog(ctx context.Context, e engine.Engine, name string, cfg LogConfig) (*Log, error) {
	stored, err := e.Log(ctx, name, cfg.Engine)
	if err != nil {
		return nil, fmt.Errorf("bridge: open log %s: %w", name, err)
	}
	l := &Log{name: name, guarantee: e.Guarantee(), log: stored, logger: orDiscard(cfg.Logger), endpoints: make(map[string][]string)}
	l.intake = &intake{put: l.put}
	from, err := l.bind(ctx, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bridge: log %s: %w", name, err), l.closeSockets(ctx), stored.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.serve(run, from, cfg.Engine.WithDefaults().MaxOutstanding)
	return l, nil
}

// bind makes the sockets and returns the first position that the feed publishes.
func (l *Log) bind(ctx context.Context, cfg LogConfig) (from uint64, err error) {
	bounds, err := l.log.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	l.first.Store(bounds.First)
	l.publisher, err = feed.NewPublisher(&feed.Config{
		MaxMessages: cfg.Ring, Options: with(cfg.Options),
		History: &feed.History{
			After: feed.Position{Epoch: bounds.Epoch, Seq: bounds.Last}, First: l.first.Load, Read: l.read,
		},
	})
	if err != nil {
		return 0, err
	}
	for _, f := range []struct {
		what      string
		endpoints []string
		bind      func(string) (string, error)
	}{{"live", cfg.Live, l.publisher.Bind}, {"control", cfg.Control, l.publisher.BindControl}} {
		for _, e := range f.endpoints {
			addr, err := f.bind(e)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", f.what, err)
			}
			l.bound(f.what, addr)
		}
	}
	if l.producers, l.pull, err = bindProducers(cfg.ReqProducers, cfg.DealerProducers, cfg.PushProducers, cfg.Options, l.bound); err != nil {
		return 0, err
	}
	if len(cfg.PubProducers) > 0 {
		if l.sub, err = zmq.NewSub(with(cfg.Options, zmq.WithSubscribe(""))...); err != nil {
			return 0, err
		}
		if err := bindAll(l.sub, cfg.PubProducers, "in PUB", l.bound); err != nil {
			return 0, err
		}
	}
	if len(l.endpoints) == 0 {
		return 0, errors.New("no endpoint for producers or subscribers")
	}
	return bounds.Last + 1, nil
}

func (l *Log) bound(what, addr string) { l.endpoints[what] = append(l.endpoints[what], addr) }

// Endpoints returns the addresses that the log is bound to: "live" and "control",
// and those of producers, such as "in REQ".
func (l *Log) Endpoints() map[string][]string { return l.endpoints }

// put is the intake's way into the engine. An id names the put in its reply and has
// no other use: a log keeps no ids.
func (l *Log) put(ctx context.Context, _ []byte, frames [][]byte, done func(engine.Receipt, error)) error {
	if len(frames) != 2 {
		return fmt.Errorf("%w: %d frames, want a topic and a body", protocol.ErrInvalid, len(frames))
	}
	return l.log.Append(ctx, frames[0], frames[1:], done)
}

func (l *Log) serve(ctx context.Context, from uint64, outstanding int) {
	for _, p := range l.producers {
		l.serving.Go(func() { l.intake.serve(ctx, p) })
	}
	if l.pull != nil {
		l.serving.Go(func() { l.intake.serveUnacknowledged(ctx, l.pull, outstanding) })
	}
	if l.sub != nil {
		l.serving.Go(func() { l.intake.serveUnacknowledged(ctx, l.sub, outstanding) })
	}
	l.serving.Go(func() { l.publish(ctx, from) })
	l.serving.Go(func() { l.look(ctx) })
}

// publish publishes what is appended to the log, by this bridge or another one.
func (l *Log) publish(ctx context.Context, from uint64) {
	for ctx.Err() == nil {
		for e, err := range l.log.Read(ctx, from, nil) {
			if err != nil {
				if ctx.Err() == nil {
					l.logger.Warn("bridge: engine failed", "log", l.name, "operation", "read", "error", err)
					select {
					case <-ctx.Done():
					case <-time.After(retryEngine):
					}
				}
				break
			}
			from = e.Pos + 1
			m, ok := message(e)
			if !ok {
				l.skipped.Add(1)
				continue
			}
			if err := l.publisher.PublishStored(m); err != nil {
				l.logger.Warn("bridge: publish", "log", l.name, "position", e.Pos, "error", err)
				continue
			}
			l.published.Add(1)
		}
	}
}

// message returns an entry as a message of the feed. Other programs may append
// entries that are none.
func message(e engine.Entry) (feed.Stored, bool) {
	if len(e.Frames) != 1 {
		return feed.Stored{}, false
	}
	return feed.Stored{Seq: e.Pos, Time: e.Time, Topic: e.Topic, Payload: e.Frames[0]}, true
}

// read is the feed's way to messages that have left its ring.
func (l *Log) read(ctx context.Context, from, to uint64) iter.Seq2[feed.Stored, error] {
	return func(yield func(feed.Stored, error) bool) {
		for e, err := range l.log.Read(ctx, from, nil) {
			if err != nil {
				yield(feed.Stored{}, err)
				return
			}
			m, ok := message(e)
			if e.Pos > to || ok && !yield(m, nil) || e.Pos == to {
				return
			}
		}
	}
}

// look keeps the position of the oldest entry. The feed may see an older one: it
// finds that the entry is gone when it reads.
func (l *Log) look(ctx context.Context) {
	t := time.NewTicker(lookInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if b, err := l.log.Bounds(ctx); err == nil {
			l.first.Store(b.First)
		}
	}
}

// Close ends the log: it reads no more messages, waits for the results of
// outstanding appends and sends the replies, and closes the sockets. ctx bounds the
// waits.
func (l *Log) Close(ctx context.Context) error {
	l.stop()
	l.serving.Wait()
	err := errors.Join(wait(ctx, &l.intake.outstanding), l.closeSockets(ctx), l.log.Close())
	l.intake.outstanding.Wait() // the log is closed: what waited for it returns
	if err != nil {
		return fmt.Errorf("bridge: close log %s: %w", l.name, err)
	}
	return nil
}

func (l *Log) closeSockets(ctx context.Context) error {
	var sockets []zmq.Socket
	for _, p := range l.producers {
		sockets = append(sockets, p.router)
	}
	if l.pull != nil {
		sockets = append(sockets, l.pull)
	}
	if l.sub != nil {
		sockets = append(sockets, l.sub)
	}
	err := closeAll(ctx, sockets)
	if l.publisher != nil {
		err = errors.Join(err, l.publisher.Close())
	}
	return err
}

// LogStatus is the state of a Log. The counters begin with it.
type LogStatus struct {
	Name      string `json:"name"`
	Guarantee string `json:"guarantee"`
	First     uint64 `json:"first"` // position of the oldest entry
	Last      uint64 `json:"last"`  // position of the latest

	IntakeStatus

	Published uint64 `json:"published"` // entries of all bridges of this log
	Skipped   uint64 `json:"skipped"`   // entries that have not one frame and are not in the feed
}

// Status returns the state of the log. Its error is that of the engine; the counters
// are right then too.
func (l *Log) Status(ctx context.Context) (LogStatus, error) {
	s := LogStatus{
		Name: l.name, Guarantee: l.guarantee.String(), IntakeStatus: l.intake.status(),
		Published: l.published.Load(), Skipped: l.skipped.Load(),
	}
	s.Producers = connectedProducers(l.producers, l.pull)
	if l.sub != nil {
		s.Producers += len(l.sub.Stats().Peers)
	}
	b, err := l.log.Bounds(ctx)
	s.First, s.Last = b.First, b.Last
	return s, err
}
