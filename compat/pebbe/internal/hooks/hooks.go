// Package hooks is what package draft uses of compat/pebbe. The API of
// compat/pebbe is closed, so it sets variables here instead of exporting more.
//
// A socket is a *zmq4.Socket of compat/pebbe, which this package cannot name
// because compat/pebbe imports it. Errors are those of the methods of a Socket.
package hooks

import "lintel.dev/zmq"

// DraftTypes are the draft types of sockets, from libzmq's number FirstDraft on.
var DraftTypes = []string{"SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM"}

// FirstDraft is libzmq's number of the first draft type.
const FirstDraft = 12

var (
	// DefaultContext is the *zmq4.Context of the functions without a Context.
	DefaultContext any

	// Send is SendBytes. head is the routing id of a SERVER's message in 4
	// octets or the group of a RADIO's; other types of sockets ignore it.
	Send func(soc any, data []byte, flags int, head []byte) (int, error)

	// Recv is RecvBytes that also returns the head of the message, in the form
	// that Send has it.
	Recv func(soc any, flags int) (data, head []byte, err error)

	// Do calls f with the socket of package zmq, and returns its error as a
	// method of a Socket does: EINVAL unless it is another one of libzmq's.
	Do func(soc any, f func(zmq.Socket) error) error
)
