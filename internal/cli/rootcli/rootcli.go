// Package rootcli is the command lintel: the root of the command tree, which has the
// families below it. The program memcached is the same command with another name.
package rootcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/cachecli"
	"lintel.dev/internal/cli/democli"
	"lintel.dev/internal/cli/feedcli"
	"lintel.dev/internal/cli/perfcli"
	"lintel.dev/internal/cli/servercli"
	"lintel.dev/internal/cli/zmqcli"
)

// Run runs the command that args name and returns the exit status. SIGINT and
// SIGTERM cancel the context of the command. When args[0] is memcached, the
// command is lintel memcached. linked is the version that the linker has set, or empty.
func Run(linked string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	root := New(cli.Version(linked))
	rest := args[1:]
	if name := filepath.Base(args[0]); name == "memcached" || name == "memcached-debug" {
		rest = append([]string{"memcached"}, rest...)
	}
	root.SetArgs(rest)
	root.SetIn(stdin)
	out := cli.NewOutput(stdout)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.Err()
	}
	status := cli.Status(err)
	interrupted := ctx.Err() != nil && errors.Is(err, context.Canceled)
	if interrupted && status == cli.StatusFailed {
		status = cli.StatusInterrupted
	}
	if err != nil && err.Error() != "" {
		for line := range strings.Lines(err.Error()) {
			if line = strings.TrimSuffix(line, "\n"); !interrupted || line != context.Canceled.Error() {
				fmt.Fprintf(stderr, "lintel: %s\n", line)
			}
		}
	}
	return status
}

// New returns the command tree.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "lintel",
		Short: "A cache that replaces memcached and message queues that talk to ZeroMQ",
		Example: `  lintel demo
  lintel memcached -p 11211 -m 1024
  lintel cache get greeting
  lintel zmq pull --bind tcp://127.0.0.1:5557`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.NoOther("command"),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("lintel {{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	root.SetFlagErrorFunc(cli.FlagError)
	root.AddCommand(democli.New(), cachecli.New(), servercli.New(version), perfcli.New(), zmqcli.New(), feedcli.New())
	strict(root)
	return root
}

// strict makes the commands that cobra adds, help and completion, refuse
// unknown arguments.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  lintel help zmq push"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return cli.Usagef("unknown command %q, see lintel --help", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			cmd.Example = "  lintel completion bash"
			cmd.Args = cli.NoOther("shell")
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Example = "  lintel completion " + shell.Name()
				shell.Args = cli.NoArguments
				shell.Long = strings.ReplaceAll(shell.Long, "installed already, you can", "installed, you can") // within 80 columns
			}
		}
	}
}
