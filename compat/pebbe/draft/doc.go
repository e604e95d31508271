// Package zmq4 has the API of github.com/pebbe/zmq4/draft 1.4: that of package
// compat/pebbe and the draft types of sockets, CLIENT, SERVER, RADIO, DISH,
// SCATTER, GATHER and DGRAM. A program switches by changing the import.
//
//	import zmq "lintel.dev/compat/pebbe/draft" // was: zmq "github.com/pebbe/zmq4/draft"
//
// Messages of the draft types have one part, except those of a DGRAM: the
// address of the other side and the datagram. The routing id of a SERVER's
// message and the group of a RADIO's are options of the call:
//
//	server.Send("reply", 0, zmq.OptRoutingId(7))
//	msg, opts, err := dish.RecvWithOpts(0, zmq.OptGroup(""))
//	group := opts[0].(zmq.OptGroup)
//
// # How it works
//
// A Socket holds one of compat/pebbe, whose methods it has, and adds what the
// drafts need. Most types are those of compat/pebbe. The functions without a
// Context use the default context of compat/pebbe: a program that imports both
// packages ends the sockets of both with Term.
//
// # Differences from upstream
//
// Those of compat/pebbe. HasDraft is true, so no call returns one of the errors
// ErrorNotImplemented42draft to ErrorNotImplemented435. An empty message may
// have options.
//
// # Locks
//
// There are none: the Sockets of compat/pebbe have them. Poller and Reactor are
// for one goroutine at a time.
//
// # Examples
//
// Example in example_test.go is a SERVER that answers a CLIENT.
package zmq4
