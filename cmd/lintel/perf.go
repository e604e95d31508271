package main

import "github.com/spf13/cobra"

// perfCommands are the constructors of the commands under lintel perf.
var perfCommands = []func() *cobra.Command{
	newPerfCache,
	newPerfLocalThr, newPerfRemoteThr, newPerfLocalLat, newPerfRemoteLat,
	newPerfInprocThr, newPerfInprocLat, newPerfProxyThr,
}

func newPerf() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "perf",
		Short: "Measure caches and sockets, ours and others'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q, see lintel perf --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range perfCommands {
		cmd.AddCommand(c())
	}
	return cmd
}
