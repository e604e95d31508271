package servercli

import (
	"errors"
	"io/fs"
	"os"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/memcached/listen"
)

// checkFiles checks that each flag that names a file names one that can be used.
// Opening something else could block, as a FIFO does, or damage it. The pid file
// is checked when it is written: an error there is only a warning.
func (s *serverSettings) checkFiles() error {
	if err := checkInputs(s); err != nil {
		return err
	}
	return checkOutputs(s)
}

// checkInputs checks the files that are read at the start and by SIGHUP.
func checkInputs(s *serverSettings) error {
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
	return nil
}

// reloader reads certificates again after checkInputs: a FIFO in the place of a file
// would hold up the signal, or the event loop of refresh_certs, until it has a writer.
type reloader struct {
	*listen.TLS
	check func() error
}

// Reload is Reload of listen.TLS.
func (r *reloader) Reload() error {
	if err := r.check(); err != nil {
		return err
	}
	return r.TLS.Reload()
}

// checkOutputs checks the files that the server writes, and the unix socket.
func checkOutputs(s *serverSettings) error {
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
