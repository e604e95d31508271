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
		return demoError(cmd.Context(), pi.Run(cmd.Context(), cfg))
	}
	cmd := &cobra.Command{
		Use:   "pi",
		Short: "PUB/SUB, REQ/REP and PUSH/PULL estimate pi together",
		Long: `Throws points at a square and counts those inside a quarter circle. Five roles
do it with messages, in one process or in several:

  bitsource    PUB, binds --pubsub: publishes points, 64 characters 0 and 1, in which
               the 32 bits of n and those of m alternate
  always-yes   SUB "00": the point is inside for sure; PUSH "Y"
  judge        SUB "01", "10", "11": REQ "[n, m]", PUSH "Y" if the sum is below 2^64, else "N"
  pythagoras   REP, binds --reqrep: answers n*n + m*m, a JSON integer
  tally        PULL, binds --pushpull: counts, pi is 4 * Y / (Y + N)

A role that --roles leaves out is played by another process, in any language,
at a tcp:// or ipc:// endpoint. A bitsource drops points for workers that are
too slow; the losses of each branch are shown.`,
		Example: `  lintel demo pi --plot pi.png
  lintel demo pi --interval 0
  lintel demo pi --roles bitsource,pythagoras,tally --duration 1m \
      --pubsub 'tcp://*:7001' --reqrep 'tcp://*:7002' --pushpull 'tcp://*:7003'
  lintel demo pi --roles always-yes,judge --duration 0 \
      --pubsub tcp://HOST:7001 --reqrep tcp://HOST:7002 --pushpull tcp://HOST:7003`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&cfg.Roles, "roles", cfg.Roles, "`LIST` of the roles that this process plays")
	f.StringVar(&cfg.PubSub, "pubsub", cfg.PubSub, "`ENDPOINT` of the points, bound by the bitsource")
	f.StringVar(&cfg.ReqRep, "reqrep", cfg.ReqRep, "`ENDPOINT` of the sums, bound by pythagoras")
	f.StringVar(&cfg.PushPull, "pushpull", cfg.PushPull, "`ENDPOINT` of the verdicts, bound by the tally")
	f.IntVar(&cfg.Workers, "workers", cfg.Workers, "number of judges, who share their quadrants")
	f.DurationVar(&cfg.Interval, "interval", cfg.Interval, "time from point to point (0: as fast as it goes)")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "time to run (0: until interrupted)")
	f.Int64Var(&cfg.Points, "points", 0, "end after so many points (0: do not)")
	f.Uint64Var(&cfg.Seed, "seed", 0, "make the points the same every time (0: do not)")
	f.BoolVar(&cfg.JSON, "json", false, "one line of JSON at the end instead of the table")
	f.StringVar(&cfg.Plot, "plot", "", "draw the estimate as it converges in this `FILE`, *.png or *.svg")

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
