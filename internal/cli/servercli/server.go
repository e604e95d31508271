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
	"log/slog"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
)

// licence is what -i prints below memcached's version line.
const licence = `Lintel is free software under the Apache License, version 2.0:
https://www.apache.org/licenses/LICENSE-2.0. It comes without warranty.
It contains no code of memcached, whose protocols and flags it implements.
`

// New returns the command lintel memcached. version is that of the program.
func New(version string) *cobra.Command {
	program, dropIn := programName(os.Args[0])
	s := newSettings()
	s.build = version
	cmd := &cobra.Command{
		Use:   "memcached [flags]",
		Short: "Run a cache server with memcached's protocols and flags",
		Long:  serverManual(), // of the manual page; the help is serverHelp
		Args: func(_ *cobra.Command, args []string) error {
			// The entry point of memcached's image drops its name: `docker run IMAGE
			// memcached -m 64`. That of ours is this command.
			if len(args) > 0 && args[0] == "memcached" {
				args = args[1:]
			}
			if len(args) > 0 {
				return cli.Usagef("unexpected argument %q, see -h", args[0])
			}
			return s.check(os.Getenv)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, program, dropIn) },
	}
	for _, args := range serverExamples {
		cmd.Example += "  lintel memcached " + args + "\n"
	}
	s.addFlags(cmd.Flags())
	s.addCompletions(cmd)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		fmt.Fprint(cmd.OutOrStdout(), serverHelp(program, version))
	})
	return cmd
}

// run does what the settings say. dropIn is whether the program was started as
// memcached: it then prints what memcached prints, for scripts that read it.
func (s *serverSettings) run(cmd *cobra.Command, program string, dropIn bool) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	switch {
	case s.license:
		fmt.Fprintf(stdout, "memcached %s\n\n%s", memcached.DefaultVersion, licence)
		return nil
	case s.version && dropIn:
		fmt.Fprintf(stdout, "memcached %s\n", memcached.DefaultVersion)
		fmt.Fprintf(stderr, "lintel %s\n", s.build)
		return nil
	case s.version:
		fmt.Fprintf(stdout, "memcached %s (lintel %s)\n", memcached.DefaultVersion, s.build)
		return nil
	}
	if s.options.Debug = program == "memcached-debug"; s.options.Debug {
		// memcached's tests of memory limits over 4 GiB set this value.
		s.options.InitialMalloc, _ = strconv.ParseInt(os.Getenv("T_MEMD_INITIAL_MALLOC"), 10, 64)
	}
	if os.Geteuid() == 0 && s.user == "" {
		if dropIn {
			return cli.Usagef("can't run as root without the -u switch (-u root keeps root)")
		}
		s.warnings = append(s.warnings, s.rootWarning())
	}
	if err := s.checkFiles(); err != nil {
		return err
	}
	if s.daemon && !isDaemon() {
		return daemonize()
	}
	if dropIn && !s.logLevel {
		s.log.Level = slog.LevelWarn // memcached prints nothing when it starts
	}
	return s.serve(cmd.Context(), stderr)
}

// rootWarning is the warning of a server that root started without -u.
func (s *serverSettings) rootWarning() string {
	if s.socket == "" && len(s.listen) == 0 {
		return "running as root, on all addresses: set a user with -u USER and an address with -l ADDR"
	}
	return "running as root: set a user with -u USER"
}
