// Command lintel is a memcached-compatible cache server, a client for such
// servers, ZeroMQ sockets, and demonstrations of them, in one binary.
package main

import (
	"os"

	"lintel.dev/internal/cli/rootcli"
)

// version may be set by the linker (see Makefile).
var version string

func main() {
	os.Exit(rootcli.Run(version, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
