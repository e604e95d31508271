package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// Config configures an Engine. A zero field means its default.
type Config struct {
	engine.Options
	// URL is the address of one or several servers: "nats://a:4222,nats://b:4222".
	URL string
	// NATS are further options of the connection: credentials, TLS, the server of
	// the same process. The handlers for disconnect, reconnect, close and errors
	// belong to the engine.
	NATS []nats.Option
	// Replicas is the number of copies of each stream. Default 1.
	Replicas int
	// Memory keeps the streams in the memory of the servers.
	Memory bool
	// SyncAlways is the operator's statement that the servers run with
	// sync_interval: always. A client cannot find out. It decides Guarantee.
	SyncAlways bool
	// PutTimeout is how long a put may take before done gets an error. An attempt
	// without an answer ends after a quarter of it; a put whose message has no ID
	// ends then. Default 40 s.
	PutTimeout time.Duration
}

// Engine is an engine.Engine.
type Engine struct {
	cfg    Config
	nc     *nats.Conn
	js     jetstream.JetStream
	sender *sender
	closed chan struct{} // closed when the connection has ended

	mu   sync.Mutex
	link context.Context // ends when the connection breaks
	cut  context.CancelCauseFunc
	open map[handle]struct{}
	over bool
}

// handle is a Queue or Log of an Engine.
type handle interface {
	Close() error
	lost() // the connection broke
}

var _ engine.Engine = (*Engine)(nil)

// Open connects to the servers. It returns an error if none can be reached, or if
// none answers as JetStream before ctx ends: a cluster may be electing a leader.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg.Replicas = max(cfg.Replicas, 1)
	if cfg.PutTimeout == 0 {
		cfg.PutTimeout = 40 * time.Second
	}
	e := &Engine{cfg: cfg, closed: make(chan struct{}), open: make(map[handle]struct{})}
	opts := append([]nats.Option{
		nats.Name("lintel-bridge"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(retryAfter),
		nats.PingInterval(10 * time.Second),
	}, cfg.NATS...)
	opts = append(opts,
		nats.DisconnectErrHandler(e.disconnected),
		nats.ReconnectHandler(e.reconnected),
		nats.ClosedHandler(func(*nats.Conn) { close(e.closed) }),
		nats.ErrorHandler(e.failed))
	var err error
	if e.nc, err = nats.Connect(cfg.URL, opts...); err != nil {
		return nil, fmt.Errorf("jetstream: connect to %q: %w", cfg.URL, err)
	}
	e.setLink(true)
	if e.sender, err = newSender(e.nc, cfg.PutTimeout); err == nil {
		e.js = e.sender.js
		err = e.persist(ctx, func(ctx context.Context) error {
			_, err := e.js.AccountInfo(ctx)
			return err
		})
	}
	if err != nil {
		e.nc.Close()
		<-e.closed
		return nil, fmt.Errorf("jetstream: JetStream of %q: %w", cfg.URL, err)
	}
	return e, nil
}

// Guarantee implements engine.Engine. It relies on Config.SyncAlways.
func (e *Engine) Guarantee() engine.Guarantee {
	switch {
	case e.cfg.Memory && e.cfg.Replicas < 3:
		return engine.Volatile
	case e.cfg.Memory:
		return engine.Replicated
	case e.cfg.SyncAlways:
		return engine.PowerLoss
	case e.cfg.Replicas >= 3:
		return engine.Replicated
	}
	return engine.ProcessCrash
}

// Queue implements engine.Engine.
func (e *Engine) Queue(ctx context.Context, name string, cfg engine.QueueConfig) (engine.Queue, error) {
	if err := e.check(name); err != nil {
		return nil, err
	}
	q := &queue{engine: e, name: name, cfg: cfg.WithDefaults(), jobs: make(map[uint64]*job)}
	if err := e.persist(ctx, q.create); err != nil {
		return nil, err
	}
	q.out = newPublisher(e.sender, q.cfg.MaxOutstanding)
	var err error
	if q.in, err = newPuller(e.nc, queueStream(name), consumerName, q.cfg.AckWait/2, giveBack); err != nil {
		return nil, err
	}
	if err := e.add(q); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// Log implements engine.Engine.
func (e *Engine) Log(ctx context.Context, name string, cfg engine.LogConfig) (engine.Log, error) {
	if err := e.check(name); err != nil {
		return nil, err
	}
	l := &log{engine: e, name: name, cfg: cfg.WithDefaults(), closed: make(chan struct{}), readers: make(map[*puller]struct{})}
	if err := e.persist(ctx, l.create); err != nil {
		return nil, err
	}
	l.out = newPublisher(e.sender, l.cfg.MaxOutstanding)
	if err := e.add(l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close implements engine.Engine. It waits for the connection to end.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return engine.ErrClosed
	}
	e.over = true
	var open []handle
	for h := range e.open {
		open = append(open, h)
	}
	e.mu.Unlock()
	for _, h := range open {
		_ = h.Close() // a caller may have closed it meanwhile
	}
	if e.nc.Status() == nats.CONNECTED {
		_ = e.nc.FlushTimeout(drainWait) // what the handles returned; it fails if the connection breaks
	}
	e.nc.Close()
	<-e.closed
	return nil
}

// check returns an error if name is invalid or e is closed.
func (e *Engine) check(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return engine.ErrClosed
	}
	return engine.CheckName(name)
}

func (e *Engine) add(h handle) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return engine.ErrClosed
	}
	e.open[h] = struct{}{}
	return nil
}

func (e *Engine) forget(h handle) {
	e.mu.Lock()
	delete(e.open, h)
	e.mu.Unlock()
}

// storage returns where the streams are kept.
func (e *Engine) storage() jetstream.StorageType {
	if e.cfg.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

func (e *Engine) disconnected(_ *nats.Conn, err error) {
	e.setLink(false)
	e.mu.Lock()
	over := e.over
	e.mu.Unlock()
	if over {
		return
	}
	reason := "closed by the server"
	if err != nil {
		reason = err.Error()
	}
	e.cfg.Emit(engine.Event{Kind: engine.Disconnected, Reason: reason})
}

func (e *Engine) reconnected(nc *nats.Conn) {
	e.setLink(true)
	e.cfg.Emit(engine.Event{Kind: engine.Reconnected, Reason: nc.ConnectedUrlRedacted()})
	e.mu.Lock()
	defer e.mu.Unlock()
	for h := range e.open {
		h.lost()
	}
}

// failed logs the errors that the library reports to no call.
func (e *Engine) failed(_ *nats.Conn, sub *nats.Subscription, err error) {
	if e.cfg.Logger == nil {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	e.cfg.Logger.Warn("jetstream: asynchronous error", slog.String("subject", subject), slog.Any("error", err))
}

// life identifies a stream by time of creation and name. That of a stream that was
// created later compares greater.
func life(info *jetstream.StreamInfo) (epoch [16]byte) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(info.Config.Name), uint64(info.Created.UnixNano())))
	binary.BigEndian.PutUint64(epoch[:8], uint64(info.Created.UnixNano()))
	copy(epoch[8:], sum[:])
	return epoch
}
