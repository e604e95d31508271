package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker (see Makefile).
var version = "devel"

// usageError marks what the caller typed wrong: one line, exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exitError carries an exit status of its own; its text, if any, is printed.
type exitError struct {
	status int
	err    error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// run is the program without its process: it returns the exit status.
// SIGINT and SIGTERM cancel the context that every command gets.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	root := newRoot()
	rest := args[1:]
	if name := filepath.Base(args[0]); name == "memcached" || name == "memcached-debug" {
		rest = append([]string{"memcached"}, rest...)
	}
	root.SetArgs(rest)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	strict(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(stderr, "lintel: %s\n", msg)
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit.status
	}
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// commands are the constructors of the top-level commands, each in the file
// of its name.
var commands = []func() *cobra.Command{
	newDemo,
	newCache,
	newMemcached,
	newPerf,
	newZMQ,
}

func newRoot() *cobra.Command {
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
		Args:          noOther("command"),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("lintel {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text := err.Error()
		// What strconv and time say names their functions and the value again.
		if num := (*strconv.NumError)(nil); errors.As(err, &num) {
			text = strings.Replace(text, num.Error(), num.Err.Error(), 1)
		}
		return usagef("%s, see %s --help", strings.Replace(text, ": time: ", ": ", 1), cmd.CommandPath())
	})
	for _, c := range commands {
		root.AddCommand(c())
	}
	return root
}

// strict makes cobra's own commands refuse what they do not know, as ours do.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  lintel help zmq push"
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return usagef("unknown command %q, see lintel --help", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			cmd.Example = "  lintel completion bash"
			cmd.Args = noOther("shell")
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Example = "  lintel completion " + shell.Name()
				shell.Args = noArguments
			}
		}
	}
}

// noOther is the Args of a command that leaves all to those under it, which
// are of a kind.
func noOther(kind string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unknown %s %q, see %s --help", kind, args[0], cmd.CommandPath())
		}
		return nil
	}
}

// noArguments is cobra.NoArgs with our exit status.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q, see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}
