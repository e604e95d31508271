// Package interop_test runs Lintel against strangers: real memcached, the
// clients of other languages, libzmq. See package peers for what happens when
// one of them is not installed.
package interop_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/interop/peers"
)

// children are the parts that this test binary plays when it has started
// itself, by the environment variable that says so.
var children = map[string]func() error{}

func TestMain(m *testing.M) {
	for variable, child := range children {
		if os.Getenv(variable) == "" {
			continue
		}
		if err := child(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	removeBinary()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// guard bounds a test's blocking calls, for the failure only.
func guard(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	t.Cleanup(cancel)
	return ctx
}
