//go:build !unix

package logging

import "io"

func isJournal(io.Writer) bool { return false }
