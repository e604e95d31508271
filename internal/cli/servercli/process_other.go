//go:build !unix

package servercli

import (
	"io"
)

func isDaemon() bool { return false }

func daemonize() error { return usagef("-d: not available on this system") }

func detach(bool) error { return nil }

// onSignals has nothing to do: the signals do not exist here.
func onSignals(_, _ func()) func() { return func() {} }

func (s *serverSettings) prepareProcess(io.Writer) error {
	switch {
	case s.coreDumps:
		return usagef("-r: not available on this system")
	case s.lockAll:
		return usagef("-k: not available on this system")
	}
	return nil
}
