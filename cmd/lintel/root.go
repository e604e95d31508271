package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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
		Use:           "lintel",
		Short:         "A cache that replaces memcached and message queues that talk to ZeroMQ",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q, see lintel --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v, see %s --help", err, cmd.CommandPath())
	})
	for _, c := range commands {
		root.AddCommand(c())
	}
	return root
}
