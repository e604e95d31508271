package bridgecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// serveFlags are the flags of every bridge.
type serveFlags struct {
	engineFlags
	socketFlags
	httpFlags
	in       []string
	shutdown time.Duration
}

func (f *serveFlags) add(cmd *cobra.Command) {
	f.engineFlags.add(cmd)
	f.socketFlags.add(cmd)
	f.httpFlags.add(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&f.in, "in", nil, "producers connect to `TYPE=ENDPOINT`; TYPE alone: a free port; repeatable, or separated by commas")
	fs.DurationVar(&f.shutdown, "shutdown", 10*time.Second, "wait this long for outstanding messages when interrupted")
}

// server is a queue or a log that is served.
type server interface {
	source
	Endpoints() map[string][]string
	Close(ctx context.Context) error
}

// opener opens a queue or a log of an engine.
type opener func(ctx context.Context, e engine.Engine, options []zmq.Option, logger *slog.Logger) (server, error)

// run opens the engine and what is in it, prints the addresses and what the mode
// claims, and serves until the command is interrupted.
func (f *serveFlags) run(cmd *cobra.Command, p Program, name string, open opener, claims func(io.Writer, engine.Guarantee)) (err error) {
	if err := engine.CheckName(name); err != nil {
		return cli.Usage(err)
	}
	options, err := f.parse()
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	logger := newLogger(stderr)
	ctx := cmd.Context()
	e, err := f.open(ctx, p, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	s, err := open(ctx, e, options, logger)
	if err != nil {
		return cli.EndpointError(err)
	}
	defer func() {
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.shutdown)
		defer cancel()
		err = errors.Join(err, s.Close(over))
	}()
	stop, err := f.serve(ctx, p.Version, s, stderr)
	if err != nil {
		return err
	}
	defer stop()
	printEndpoints(stderr, s.Endpoints())
	claims(stderr, e.Guarantee())
	fmt.Fprintln(stderr, "ready")
	<-ctx.Done()
	return nil
}

// newLogger writes warnings and errors.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
