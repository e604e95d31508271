// Package bridgecli is the command line of the program lintel-bridge.
//
// queue and log run one bridge until SIGINT or SIGTERM. They print the addresses of
// their sockets and what they guarantee to standard error. status and dead ask a
// running bridge over the HTTP address of its flag --http, which also has
// /metrics and /healthz.
//
// The engine on a NATS server inside the process is in a module of its own: the
// program passes it to [Run] as [Program.Embedded].
package bridgecli
