// Package demo holds what the demonstration programs in the packages below it
// share: the error for bad input, and how figures and bars look on a terminal
// and in a pipe.
package demo

import (
	"errors"
	"fmt"
)

// InputError says that what the user asked for cannot be done as asked: a
// wrong flag value, file, endpoint or database. Its text is one line that says
// what was wrong and what was expected.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }

// Unwrap returns the cause, if the text was made with %w.
func (e *InputError) Unwrap() error { return errors.Unwrap(e.err) }

// Inputf makes an *InputError.
func Inputf(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}
