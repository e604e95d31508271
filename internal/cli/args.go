package cli

import (
	"github.com/spf13/cobra"
)

// NoOther is the Args of a command that has only subcommands. kind names what
// those are, for the error.
func NoOther(kind string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			var names []string
			for _, sub := range cmd.Commands() {
				names = append(names, sub.Name())
			}
			return Usagef("unknown %s %q%s, see %s --help", kind, args[0], DidYouMean(args[0], "", names), cmd.CommandPath())
		}
		return nil
	}
}

// NoArguments is cobra.NoArgs with a usage error.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef("unexpected argument %q, see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}

// AtLeast is cobra.MinimumNArgs with a usage error. what describes the
// arguments.
func AtLeast(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return Usagef("expected %s", what)
		}
		return nil
	}
}

// Between is cobra.RangeArgs with a usage error. what describes the arguments.
func Between(low, high int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return Usagef("expected %s, got %d", what, len(args))
		}
		return nil
	}
}

// Must panics if err is not nil. It is for calls that fail only if the program
// is wrong, such as MarkHidden of a flag that exists.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}
