package bridgecli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
)

// Program is what the program adds to the command line.
type Program struct {
	Version string // Run replaces an empty one by that of the module or commit
	// Embedded opens the engine on a server inside the process, with its streams
	// below dir. sync makes it sync each message to disk before its receipt. Nil
	// means that the program has no such engine.
	Embedded func(ctx context.Context, dir string, sync bool, opts engine.Options) (engine.Engine, error)
}

// Run runs the command that args name, without the name of the program, and returns
// the exit status. SIGINT and SIGTERM end it.
func Run(p Program, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p.Version = cli.Version(p.Version)
	root := New(p)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "lintel-bridge: %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	return cli.Status(err)
}

// New returns the command tree.
func New(p Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "lintel-bridge",
		Short: "ZeroMQ queues and feeds that survive, on NATS JetStream",
		Long: `ZeroMQ queues and feeds that survive, on NATS JetStream.

Producers and workers keep their ZeroMQ sockets. The bridge stores messages
before it confirms them, and delivers each until a worker acknowledges it.`,
		Example: `  lintel-bridge queue jobs --embedded /var/lib/jobs --in req=tcp://*:5601 --out req=tcp://*:5602
  lintel-bridge queue jobs --nats nats://db1,nats://db2 --in dealer=tcp://*:5601 --out dealer=tcp://*:5602
  lintel-bridge log prices --embedded /var/lib/prices --in pub=tcp://*:5601 --live tcp://*:5602 --control tcp://*:5603
  lintel-bridge status --http 127.0.0.1:9464`,
		Version:       p.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.NoOther("command"),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("lintel-bridge {{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	root.SetFlagErrorFunc(cli.FlagError)
	root.AddCommand(newQueue(p), newLog(p), newStatus(), newDead())
	return root
}
