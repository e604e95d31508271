// Command lintel-bridge puts NATS JetStream, on a cluster or in its own process,
// behind ZeroMQ sockets. docs/bridge.md is its manual.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/bridgecli"
	"lintel.dev/bridge/jetstream"
)

// version may be set by the linker (see Makefile).
var version string

func main() {
	os.Exit(bridgecli.Run(bridgecli.Program{Version: version, Embedded: open}, os.Args[1:], os.Stdout, os.Stderr))
}

// syncDefault is the interval of the server's own default.
const syncDefault = 2 * time.Minute

// open starts a server and returns its engine.
func open(ctx context.Context, dir string, sync bool, opts engine.Options) (engine.Engine, error) {
	cfg := embedded.Config{Dir: dir, Logger: opts.Logger}
	if !sync {
		cfg.SyncEvery = syncDefault
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		return nil, err
	}
	e, err := s.Open(ctx, jetstream.Config{Options: opts})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return served{e, s}, nil
}

// served is an engine whose server ends with it.
type served struct {
	engine.Engine
	server *embedded.Server
}

// Close closes the engine and then the server.
func (s served) Close() error { return errors.Join(s.Engine.Close(), s.server.Close()) }
