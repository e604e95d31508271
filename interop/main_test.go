// Package interop_test runs Lintel against third-party software: memcached,
// clients in other languages, libzmq. Package peers says what happens when one
// of them is not installed.
package interop_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/interop/peers"
)

// children are the functions that this test binary runs as a child process of
// itself, by the environment variable that selects them.
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

// guard bounds the blocking calls of a test, so that it fails instead of
// hanging.
func guard(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	t.Cleanup(cancel)
	return ctx
}
