// Package zmq4 has the API of github.com/pebbe/zmq4 1.4 on lintel.dev/zmq: pure
// Go, without cgo and libzmq. A program switches by changing the import.
//
//	import zmq "lintel.dev/compat/pebbe" // was: zmq "github.com/pebbe/zmq4"
//
// Types, constants, functions and methods are spelled as upstream, and the API
// is closed: what is new belongs to lintel.dev/zmq. Package draft has the types
// of sockets that libzmq calls drafts, and is the rest of this package. Errors of the sockets are
// bare Errno values, so that AsErrno and == work.
//
// # How it works
//
// A Socket has a socket of lintel.dev/zmq, which sends and receives whole
// messages. The parts of a message that Recv has begun wait in the Socket, and
// so do those of a message that Send with SNDMORE has begun, until its last part
// is sent. Close returns at once; a goroutine waits for the linger time, and
// Term waits for these goroutines. A Socket or Context that becomes unreachable
// is closed.
//
// # Differences from upstream
//
// A Socket is still meant for one goroutine at a time, but nothing breaks if
// another one closes it: blocked calls return ETERM, later ones
// ErrorSocketClosed. Sending and receiving may go on in parallel.
//
// GetFd returns ENOTSUP: there is no descriptor. Nothing returns EINTR, so
// SetRetryAfterEINTR(false) has no effect: a program that stops on a signal
// closes its sockets or contexts instead. Options of GSSAPI and VMCI are EINVAL.
// A monitor keeps up to 1,024 events until its reader connects, and the value of
// events that have a file descriptor in libzmq is 0.
//
// An attempt to connect ends after 2 s and is made again, unless
// SetConnectTimeout says otherwise.
//
// AuthStart refuses unknown users with an empty password and malformed ZAP
// requests. ClientAuthCurve returns the error of each key.
//
// # Locks
//
// socket.mu protects parts of messages and the list of endpoints; group.mu the
// settings of a Context and the number of its open sockets; the ZAP handler has
// its own. No lock is held while a call waits, and none while another is taken.
//
// # Examples
//
// Example in example_test.go is a request and its reply.
package zmq4
