package democli

import (
	"strings"

	"github.com/spf13/cobra"

	"lintel.dev/demo/pi"
	"lintel.dev/internal/cli"
)

func newDemoPi() (*cobra.Command, func(*cobra.Command) error) {
	cfg := pi.Defaults()
	run := func(cmd *cobra.Command) error {
		cfg.Out, cfg.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
		if cfg.Plot != "" {
			if err := cli.OutputFile(cfg.Plot); err != nil {
				return cli.Usagef("--plot: %w", err)
			}
		}
		return demoError(cmd.Context(), pi.Run(cmd.Context(), cfg))
	}
	cmd := &cobra.Command{
		Use:   "pi",
		Short: "Estimate pi with PUB/SUB, REQ/REP and PUSH/PULL",
		Long: `Throw points at a square and count those inside a quarter circle. Five roles
do it with messages, in one process or in several:

  bitsource   PUB, binds --pubsub: publishes points as 64 characters 0 and 1,
              the 32 bits of n and of m in turn
  always-yes  SUB "00", points that are inside: PUSH "Y"
  judge       SUB "01", "10", "11": REQ "[n, m]", then PUSH "Y" if the sum is
              below 2^64, else "N"
  pythagoras  REP, binds --reqrep: replies n*n + m*m as a JSON integer
  tally       PULL, binds --pushpull: counts; pi is 4 * Y / (Y + N)

Roles that are not in --roles are played by other processes, in any language,
at tcp:// or ipc:// endpoints. The bitsource drops points for workers that are
too slow; the losses of each branch are shown.`,
		Example: `  lintel demo pi --plot pi.png
  lintel demo pi --interval 0
  lintel demo pi --roles bitsource,pythagoras,tally --duration 1m \
      --pubsub 'tcp://*:7001' --reqrep 'tcp://*:7002' \
      --pushpull 'tcp://*:7003'
  lintel demo pi --roles always-yes,judge --duration 0 \
      --pubsub tcp://HOST:7001 --reqrep tcp://HOST:7002 \
      --pushpull tcp://HOST:7003`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&cfg.Roles, "roles", cfg.Roles, "`LIST` of roles of this process")
	f.StringVar(&cfg.PubSub, "pubsub", cfg.PubSub, "`ENDPOINT` of points, bound by bitsource")
	f.StringVar(&cfg.ReqRep, "reqrep", cfg.ReqRep, "`ENDPOINT` of sums, bound by pythagoras")
	f.StringVar(&cfg.PushPull, "pushpull", cfg.PushPull, "`ENDPOINT` of verdicts, bound by tally")
	f.IntVar(&cfg.Workers, "workers", cfg.Workers, "number of judges")
	f.DurationVar(&cfg.Interval, "interval", cfg.Interval, "time between points (0: as fast as possible)")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "time to run (0: until interrupted)")
	f.Int64Var(&cfg.Points, "points", 0, "stop after this many points (0: no limit)")
	f.Uint64Var(&cfg.Seed, "seed", 0, "seed of the points (0: random)")
	f.BoolVar(&cfg.JSON, "json", false, "print one line of JSON instead of the table")
	f.StringVar(&cfg.Plot, "plot", "", "draw the estimate over time to `FILE`, *.png or *.svg")

	cli.Must(cmd.RegisterFlagCompletionFunc("roles", completeRoles))
	cli.Must(cmd.MarkFlagFilename("plot", "png", "svg"))
	for _, name := range []string{"pubsub", "reqrep", "pushpull"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(
			[]string{"tcp://", "ipc://", "inproc://"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	}
	for _, name := range []string{"workers", "interval", "duration", "points", "seed"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd, run
}

// completeRoles completes the last of a list of roles.
func completeRoles(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var out []string
	for _, role := range pi.Roles() {
		if !strings.Contains(","+before, ","+role+",") {
			out = append(out, before+role)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
