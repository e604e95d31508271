// Package democli is the command lintel demo: the command lines of the
// demonstrations in lintel.dev/demo. Without a name it runs all of them.
package democli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lintel.dev/demo"
	"lintel.dev/internal/cli"
)

func New() *cobra.Command {
	squares, runSquares := newDemoSquares()
	shards, runShards := newDemoShards()
	pi, runPi := newDemoPi()
	cmd := &cobra.Command{
		Use:   "demo [squares|shards|pi]",
		Short: "Show what a cache and message queues are for",
		Long: `Runs three small programs, each for a few seconds, on cache servers and sockets
of its own:

  squares   what a cache saves: ten runs of 2,000 lookups, each faster than the last
  shards    how keys are dealt to servers, and which ones move when a server comes or goes
  pi        PUB/SUB, REQ/REP and PUSH/PULL estimate pi together

Without a name, all three.`,
		Example: `  lintel demo
  lintel demo pi --plot pi.png`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("unknown demonstration %q, expected squares, shards or pi", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			for i, one := range []struct {
				cmd *cobra.Command
				run func(*cobra.Command) error
			}{{squares, runSquares}, {shards, runShards}, {pi, runPi}} {
				if i > 0 {
					fmt.Fprintln(out)
				}
				s := demo.NewScreen(out)
				s.Printf("%s\n\n", s.Paint(demo.Bold, "── lintel demo "+one.cmd.Name()+" ──"))
				one.cmd.SetContext(cmd.Context())
				if err := one.run(one.cmd); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.AddCommand(squares, shards, pi)
	return cmd
}

// demoError gives what a demonstration returns its exit status: 2 for what
// the user got wrong, 130 for an interrupt, which needs no words.
func demoError(ctx context.Context, err error) error {
	var input *demo.InputError
	switch {
	case errors.As(err, &input):
		return cli.Usage(err)
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return cli.Exit(130, nil)
	}
	return err
}
