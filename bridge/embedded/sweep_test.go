package embedded_test

import (
	"context"
	"sync"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/engine"
)

// sweeping is an engine that deletes its streams after Close: a hundred groups of
// replicas would slow the cluster down.
type sweeping struct {
	engine.Engine
	js natsjs.JetStream

	mu      sync.Mutex
	streams []string
}

func (e *sweeping) Queue(ctx context.Context, name string, cfg engine.QueueConfig) (engine.Queue, error) {
	e.note("Q_"+name, "D_"+name)
	return e.Engine.Queue(ctx, name, cfg)
}

func (e *sweeping) Log(ctx context.Context, name string, cfg engine.LogConfig) (engine.Log, error) {
	e.note("P_" + name)
	return e.Engine.Log(ctx, name, cfg)
}

func (e *sweeping) note(streams ...string) {
	e.mu.Lock()
	e.streams = append(e.streams, streams...)
	e.mu.Unlock()
}

func (e *sweeping) Close() error {
	err := e.Engine.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.streams {
		_ = e.js.DeleteStream(context.Background(), s) // some were never made
	}
	e.streams = nil
	return err
}
