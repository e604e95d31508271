package perfcli

import (
	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
)

// perfCommands are the constructors of the commands under lintel perf.
var perfCommands = []func() *cobra.Command{
	newPerfCache,
	newPerfLocalThr, newPerfRemoteThr, newPerfLocalLat, newPerfRemoteLat,
	newPerfInprocThr, newPerfInprocLat, newPerfProxyThr,
}

func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "perf",
		Short: "Measure caches and sockets, ours and others'",
		Long: `Measure caches and sockets, ours and others'.

cache loads a server that speaks memcached's protocol. The others have the
names, arguments and output of libzmq's tools, and run crosswise with them.`,
		Example: `  lintel perf cache --conns 50 --duration 10s
  lintel perf inproc_thr 100 1000000`,
		Args: cli.NoOther("command"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range perfCommands {
		cmd.AddCommand(c())
	}
	return cmd
}
