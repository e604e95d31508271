package servercli

import (
	"errors"
	"io/fs"
	"os"

	"lintel.dev/internal/cli"
)

// checkFiles checks that each flag that names a file names one that can be used.
// Opening something else could block, as a FIFO does, or damage it. The pid file
// is checked when it is written: an error there is only a warning.
func (s *serverSettings) checkFiles() error {
	inputs := []struct{ flag, path string }{
		{"-Y", s.options.AuthFile},
		{"MEMCACHED_SASL_PWDB", s.options.SASLFile},
		{"-o ssl_chain_cert", s.certs.Chain},
		{"-o ssl_key", s.certs.Key},
		{"-o ssl_ca_cert", s.certs.CA},
	}
	if _, err := os.Stat(s.cluster); err == nil { // else it is a list
		inputs = append(inputs, struct{ flag, path string }{"--cluster", s.cluster})
	}
	for _, in := range inputs {
		if in.path == "" {
			continue
		}
		if err := cli.InputFile(in.path); err != nil {
			return cli.Usagef("%s: %w", in.flag, err)
		}
	}
	for _, out := range []struct{ flag, path string }{
		{"-e", s.options.MemoryFile},
		{portFile, os.Getenv(portFile)}, // it is renamed over what is there, a device too
	} {
		if out.path == "" {
			continue
		}
		if err := cli.OutputFile(out.path); err != nil {
			return cli.Usagef("%s: %w", out.flag, err)
		}
	}
	if s.socket != "" {
		fi, err := os.Lstat(s.socket)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := cli.OutputFile(s.socket); err != nil {
				return cli.Usagef("-s: %w", err)
			}
		case err != nil:
			return cli.Usagef("-s: %w", err)
		case fi.Mode()&fs.ModeSocket == 0:
			return cli.Usagef("-s: %s exists and is not a socket", s.socket)
		}
	}
	return nil
}
