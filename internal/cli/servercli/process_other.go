//go:build !unix

package servercli

import (
	"log/slog"

	"lintel.dev/internal/cli"
)

func isDaemon() bool { return false }

func daemonize() error { return cli.Usagef("-d: not available on this system") }

func detach(bool) error { return nil }

// onSignals does nothing: these signals do not exist on this system.
func onSignals(_, _ func()) func() { return func() {} }

func (s *serverSettings) prepareProcess(*slog.Logger) error {
	switch {
	case s.coreDumps:
		return cli.Usagef("-r: not available on this system")
	case s.lockAll:
		return cli.Usagef("-k: not available on this system")
	}
	return nil
}
