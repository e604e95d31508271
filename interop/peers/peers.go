// Package peers finds, starts and drives the third-party software that the
// tests in interop/ run against: Debian's memcached, its clients in several
// languages, libzmq through pyzmq.
//
// If a peer is missing, the test that needs it is skipped; with CI=true it
// fails. Nothing here waits for time to pass: a peer reports when it is ready,
// and [Patience] only bounds how long a test waits for a peer that has died.
package peers

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait for a peer.
const Patience = 90 * time.Second

// Missing ends a test whose peer is not installed: a skip, or a failure with
// CI=true.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("a peer is missing (make peers installs them): "+format, args...)
	}
	t.Skipf("a peer is missing (make peers installs them): "+format, args...)
}

// Program returns the path of a program of this machine.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%v", err)
	}
	return path
}

// Python returns the interpreter of Debian's modules, /usr/bin/python3 or
// LINTEL_PYTHON. It skips the test unless the interpreter can import the named
// modules.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	python := os.Getenv("LINTEL_PYTHON")
	if python == "" {
		python = "/usr/bin/python3"
	}
	for _, m := range modules {
		if err := works(python, "-c", "import "+m); err != nil {
			Missing(t, "%s with module %s: %v", python, m, err)
		}
	}
	return python
}

var checked sync.Map // command line -> error, so that each is tried once

// works runs a command that checks whether a program or library is usable.
func works(command ...string) error {
	key := strings.Join(command, "\x00")
	if err, ok := checked.Load(key); ok {
		err, _ := err.(error)
		return err
	}
	err := exec.Command(command[0], command[1:]...).Run()
	checked.Store(key, err)
	return err
}

// Works skips the test (or fails it, with CI=true) unless the command exits
// with status 0. It is used to check whether an interpreter has a library.
func Works(t testing.TB, command ...string) {
	t.Helper()
	if err := works(command...); err != nil {
		Missing(t, "%q: %v", command, err)
	}
}
