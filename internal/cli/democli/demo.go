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

// New returns the command lintel demo.
func New() *cobra.Command {
	squares, runSquares := newDemoSquares()
	shards, runShards := newDemoShards()
	pi, runPi := newDemoPi()
	cmd := &cobra.Command{
		Use:   "demo [squares|shards|pi]",
		Short: "Show what a cache and message queues are for",
		Long: `Run three small programs, each for a few seconds, on cache servers and sockets
of their own:

  squares   what a cache saves: ten runs of lookups, each faster than the last
  shards    the shares of servers, and the keys that move with each change
  pi        PUB/SUB, REQ/REP and PUSH/PULL estimate pi together

Without a name, run all three.`,
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

// demoError returns the error of a demonstration with its exit status: 2 for wrong
// input, 130 without a text for an interrupt.
func demoError(ctx context.Context, err error) error {
	var input *demo.InputError
	switch {
	case errors.As(err, &input):
		return cli.Usage(err)
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return cli.Exit(cli.StatusInterrupted, nil)
	}
	return err
}
