package bridgecli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/jetstream"
	"lintel.dev/bridge/memory"
	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// engineFlags choose and configure the engine.
type engineFlags struct {
	url, credentials string
	replicas         int
	syncAlways       bool
	embedded         string
	sync             string
	memory           bool
}

func (f *engineFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.url, "nats", "", "store on the NATS servers at `URL`, several separated by commas")
	fs.StringVar(&f.credentials, "creds", "", "credentials `FILE` for --nats")
	fs.IntVar(&f.replicas, "replicas", 1, "copies of each stream, with --nats: 1, 3 or 5")
	fs.BoolVar(&f.syncAlways, "servers-sync-always", false, "the servers of --nats have sync_interval: always")
	fs.StringVar(&f.embedded, "embedded", "", "store in `DIR`, with a NATS server in this process")
	fs.StringVar(&f.sync, "sync", "always", "with --embedded: always (to disk before each receipt) or default (every two minutes)")
	fs.BoolVar(&f.memory, "memory", false, "store in the memory of this process: for tests")
	cli.Must(cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions([]string{"always", "default"}, cobra.ShellCompDirectiveNoFileComp)))
	cmd.MarkFlagsOneRequired("nats", "embedded", "memory")
	cmd.MarkFlagsMutuallyExclusive("nats", "embedded", "memory")
}

// openTimeout bounds the time until the engine is open.
const openTimeout = time.Minute

// open returns the engine that the flags choose.
func (f *engineFlags) open(ctx context.Context, p Program, logger *slog.Logger) (engine.Engine, error) {
	if f.sync != "always" && f.sync != "default" {
		return nil, cli.Usagef("--sync: %q, expected always or default", f.sync)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opts := engine.Options{Logger: logger}
	switch {
	case f.memory:
		return memory.New(memory.Options{Options: opts}), nil
	case f.embedded != "" && p.Embedded == nil:
		return nil, cli.Usagef("--embedded: this program has no server in it")
	case f.embedded != "":
		e, err := p.Embedded(ctx, f.embedded, f.sync == "always", opts)
		if err != nil {
			return nil, fmt.Errorf("--embedded %s: %w", f.embedded, err)
		}
		return e, nil
	}
	cfg := jetstream.Config{Options: opts, URL: f.url, Replicas: f.replicas, SyncAlways: f.syncAlways}
	if f.credentials != "" {
		cfg.NATS = append(cfg.NATS, nats.UserCredentials(f.credentials))
	}
	e, err := jetstream.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--nats %s: %w", f.url, err)
	}
	return e, nil
}

// socketFlags are the options of all sockets.
type socketFlags struct{ options []string }

func (f *socketFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.options, "option", nil, "socket option `NAME=VALUE`, such as curve_server=1, see lintel zmq --help")
}

func (f *socketFlags) parse() ([]zmq.Option, error) {
	var options []zmq.Option
	for _, o := range f.options {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			return nil, cli.Usagef("--option: %q, expected NAME=VALUE", o)
		}
		options = append(options, zmq.WithOption(name, value))
	}
	return options, nil
}
