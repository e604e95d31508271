package democli

import (
	"github.com/spf13/cobra"

	"lintel.dev/demo/squares"
	"lintel.dev/internal/cli"
)

func newDemoSquares() (*cobra.Command, func(*cobra.Command) error) {
	cfg := squares.Defaults()
	run := func(cmd *cobra.Command) error {
		for _, pair := range [][2]string{{"servers", "instances"}, {"db", "work"}} {
			if cmd.Flags().Changed(pair[0]) && cmd.Flags().Changed(pair[1]) {
				return cli.Usagef("--%s and --%s: expected one of them", pair[0], pair[1])
			}
		}
		cfg.Out, cfg.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return demoError(cmd.Context(), squares.Run(cmd.Context(), cfg))
	}
	cmd := &cobra.Command{
		Use:   "squares",
		Short: "Show what a cache saves: runs of lookups, each faster",
		Long: `Look up the squares of random numbers in a cache. A square that is not found is
computed the slow way and stored. Each run finds more squares and takes less
time.

With --near, values are kept in this process. A writer changes some of them at
the servers, and the age of what is found is shown. The servers must publish
invalidations (lintel memcached --invalidate); those in this process do.

The slow way is a pause, or with --db a query of a table of 100,000 rows. The
table is created and filled if necessary.`,
		Example: `  lintel demo squares
  lintel demo squares --db sqlite:/tmp/squares.db
  lintel demo squares --near
  lintel demo squares --servers 10.0.0.1:11211,10.0.0.2:11211 --work 5ms`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&cfg.Instances, "instances", cfg.Instances, "number of cache servers in this process")
	f.StringSliceVar(&cfg.Servers, "servers", nil, "`LIST` of memcached servers to use, host:port,...")
	f.DurationVar(&cfg.Work, "work", cfg.Work, "length of the pause")
	f.StringVar(&cfg.DB, "db", "", "`URL` of a database to query: postgres://... or sqlite:FILE")
	f.IntVar(&cfg.Runs, "runs", cfg.Runs, "number of runs")
	f.IntVar(&cfg.Requests, "requests", cfg.Requests, "lookups in a run")
	f.Uint64Var(&cfg.Seed, "seed", 0, "seed of the numbers (0: random)")
	f.BoolVar(&cfg.Near, "near", false, "keep values in a near cache while a writer changes some")
	f.BoolVar(&cfg.JSON, "json", false, "print one line of JSON instead of the table")
	completeDB(cmd)
	return cmd, run
}

// completeDB completes the kinds of databases.
func completeDB(cmd *cobra.Command) {
	cli.Must(cmd.RegisterFlagCompletionFunc("db", cobra.FixedCompletions(
		[]string{"postgres://", "sqlite:"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	for _, name := range []string{"instances", "servers", "work", "runs", "requests", "seed"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}
