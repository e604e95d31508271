// Package demo holds what the demonstration programs in the packages below it
// share: the error for bad input, and the output of numbers and bars on a
// terminal and in a pipe.
package demo

import (
	"errors"
	"fmt"
)

// InputError says that the user's input is wrong: a flag value, file, endpoint
// or database. Its text is one line that says what was wrong and what was
// expected.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }

// Unwrap returns the cause, if the text was made with %w.
func (e *InputError) Unwrap() error { return errors.Unwrap(e.err) }

// Inputf returns an *InputError with a formatted text.
func Inputf(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}
