package zmqcli

import (
	"strings"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// completeEndpoints completes the scheme of the endpoints of flags.
func completeEndpoints(cmd *cobra.Command, flags ...string) {
	schemes := []string{"tcp://", "ipc://", "ws://", "wss://", "udp://", "epgm://", "pgm://", "vsock://"}
	for _, name := range flags {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(
			schemes, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	}
}

// completeOptions completes the names of --option.
func completeOptions(cmd *cobra.Command) {
	cli.Must(cmd.RegisterFlagCompletionFunc("option", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var found []string
		for _, name := range zmq.OptionNames() {
			if strings.HasPrefix(name, typed) {
				found = append(found, name+"=")
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}
