// Command lintel is the cache server, the sockets and the demonstrations in
// one binary.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
