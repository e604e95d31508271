package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses of the program.
const (
	StatusOK          = 0
	StatusFailed      = 1   // the command failed
	StatusUsage       = 2   // the command line is wrong
	StatusInterrupted = 130 // ended by an interrupt, as a shell reports it
)

// usageError marks an error in what the caller typed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks err as an error in the command line: exit status 2.
// It returns nil if err is nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Usagef returns a formatted usage error: exit status 2.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// IsUsage reports whether err is, or wraps, a usage error.
func IsUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

// exitError carries an exit status of its own.
type exitError struct {
	status int
	err    error // may be nil: nothing is printed
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// Exit returns an error with an exit status. err is what is printed; it may
// be nil.
func Exit(status int, err error) error { return exitError{status, err} }

// Status returns the exit status for what a command returned.
func Status(err error) int {
	if err == nil {
		return StatusOK
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		return exit.status
	}
	if IsUsage(err) {
		return StatusUsage
	}
	return StatusFailed
}

// FlagError is the FlagErrorFunc of the root command. It returns a usage error
// without the function names that strconv and time put into theirs, and
// with the closest name for an unknown flag.
func FlagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if num, ok := errors.AsType[*strconv.NumError](err); ok {
		text = strings.Replace(text, num.Error(), num.Err.Error(), 1)
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && e.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		text += DidYouMean(e.GetSpecifiedName(), "--", names)
	}
	return Usagef("%s, see %s --help", strings.Replace(text, ": time: ", ": ", 1), cmd.CommandPath())
}
