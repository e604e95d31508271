// Package perfcli is the command lintel perf: a load generator for servers that
// speak memcached's protocol, and libzmq's perf tools.
//
// lintel perf cache drives connections with a fixed number of requests in
// flight, or at a fixed rate; keys, value sizes and the order of requests follow
// from a seed or from a trace. The other commands have the names, arguments and
// output of libzmq's tools, so that each can run against its counterpart.
package perfcli

import (
	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
)

// New returns the command lintel perf.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "perf",
		Short: "Measure cache servers and ZeroMQ sockets",
		Long: `Measure cache servers and ZeroMQ sockets, ours or others'.

cache loads a server that speaks memcached's protocol. The other commands have
the names, arguments and output of libzmq's perf tools, and work with them.`,
		Example: `  lintel perf cache --conns 50 --duration 10s
  lintel perf inproc_thr 100 1000000`,
		Args: cli.NoOther("command"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newPerfCache(),
		newPerfLocalThr(), newPerfRemoteThr(), newPerfLocalLat(), newPerfRemoteLat(),
		newPerfInprocThr(), newPerfInprocLat(), newPerfProxyThr(),
	)
	return cmd
}
