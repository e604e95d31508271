// Package servercli is the command lintel memcached: the cache server with
// memcached's flags.
//
// The command line becomes a settings value: flags.go has the flags,
// suboptions.go the options of -o. serve.go opens the listeners of every
// instance, starts the servers, and waits for a signal or a shutdown command.
// process_*.go has what concerns the process: daemon, user, limits, core dumps,
// locked memory, signals. http.go serves /metrics and /healthz; topology.go
// answers config get cluster.
package servercli

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
)

const licence = `Lintel is free software under the Apache License, version 2.0:
https://www.apache.org/licenses/LICENSE-2.0. It comes without warranty.
It contains nothing of memcached, whose protocols and flags it follows.
`

// newMemcached is the cache server. Its flags are memcached's, which the flag
// package of the other commands cannot read (-p11211, -vv).
func New(version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "memcached [flags]",
		Short:              "Serve a cache as memcached does, with its flags",
		DisableFlagParsing: true,
	}
	program, dropIn := programName(os.Args[0])
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), serverHelp(program))
	})
	for _, args := range serverExamples {
		cmd.Example += "  lintel memcached " + args + "\n"
	}
	var s *serverSettings
	cmd.Args = func(_ *cobra.Command, args []string) (err error) {
		s, err = parseServer(args, os.Getenv)
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s.build = version
		switch {
		case s.help:
			return cmd.Help()
		case s.license:
			fmt.Fprint(cmd.OutOrStdout(), licence)
			return nil
		case s.version:
			own := ""
			if !dropIn { // scripts cut the version out of the line
				own = fmt.Sprintf(" (lintel %s)", version)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "memcached %s%s\n", memcached.DefaultVersion, own)
			return nil
		}
		if s.options.Debug = program == "memcached-debug"; s.options.Debug {
			// memcached's test of memories over 4 GiB pretends that so much
			// is in use.
			s.options.Report.TotalMalloced, _ = strconv.ParseInt(os.Getenv("T_MEMD_INITIAL_MALLOC"), 10, 64)
		}
		// memcached itself refuses; asking a newcomer's container for a flag
		// before anything works would be no kindness.
		if dropIn && os.Geteuid() == 0 && s.user == "" {
			return cli.Usagef("started as root: say which user to become with -u (-u root to stay)")
		}
		for _, w := range s.warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "lintel: warning: %s\n", w)
		}
		if s.daemon && !isDaemon() {
			return daemonize()
		}
		return s.serve(cmd.Context(), cmd.ErrOrStderr(), !dropIn || s.options.Verbosity > 0)
	}
	return cmd
}
