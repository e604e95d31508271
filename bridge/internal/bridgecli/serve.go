package bridgecli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/zmq"
)

// serveFlags are the flags of every bridge.
type serveFlags struct {
	engineFlags
	socketFlags
	httpFlags
	logs     logging.Flags
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
	f.logs.Add(cmd)
}

// server is a queue or a log that is served.
type server interface {
	source
	Endpoints() map[string][]string
	Close(ctx context.Context) error
}

// opener opens a queue or a log of an engine.
type opener func(ctx context.Context, e engine.Engine, options []zmq.Option, logger *slog.Logger) (server, error)

// run opens the engine and what is in it, logs the addresses and what the mode
// claims, and serves until the command is interrupted.
func (f *serveFlags) run(cmd *cobra.Command, p Program, name string, open opener, claims func(engine.Guarantee) []string) error {
	log := f.logs.New(cmd.ErrOrStderr())
	return logging.Failed(log, f.serveLogged(cmd.Context(), p, name, open, claims, log))
}

func (f *serveFlags) serveLogged(ctx context.Context, p Program, name string, open opener, claims func(engine.Guarantee) []string, log *slog.Logger) (err error) {
	if err := engine.CheckName(name); err != nil {
		return cli.Usage(err)
	}
	options, err := f.parse()
	if err != nil {
		return err
	}
	e, err := f.open(ctx, p, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	s, err := open(ctx, e, append(options, zmq.WithLogger(log)), log)
	if err != nil {
		return cli.EndpointError(err)
	}
	defer func() {
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.shutdown)
		defer cancel()
		err = errors.Join(err, s.Close(over))
	}()
	stop, err := f.serve(ctx, p.Version, s, log)
	if err != nil {
		return err
	}
	defer stop()
	log.Info("started", "lintel-bridge", p.Version, "name", name, "pid", os.Getpid())
	logEndpoints(log, s.Endpoints())
	for _, claim := range claims(e.Guarantee()) {
		log.Info(claim)
	}
	log.Info("ready")
	if err := cli.Notify("READY=1"); err != nil {
		log.Warn("NOTIFY_SOCKET: the service manager was not notified", "error", err)
	}
	<-ctx.Done()
	log.Info("stopping")
	_ = cli.Notify("STOPPING=1") // best effort: the manager also sees the process end
	return nil
}
