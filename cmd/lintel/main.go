// Command lintel is a memcached-compatible cache server, a client for such
// servers, ZeroMQ sockets, and demonstrations of them, in one binary.
package main

import "os"

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
