package zmq

import (
	"errors"
	"fmt"
)

// Errors to test for with errors.Is.
var (
	// ErrClosed: the socket was closed.
	ErrClosed = errors.New("zmq: socket closed")
	// ErrTerminated: the Context of the socket was terminated.
	ErrTerminated = errors.New("zmq: context terminated")
	// ErrWouldBlock: a Try call, or one whose send or receive timeout passed,
	// would have to wait.
	ErrWouldBlock error = wouldBlock{}
	// ErrState: the call is out of turn for a REQ or REP socket.
	ErrState = errors.New("zmq: out of turn: requests and replies alternate")
	// ErrHostUnreachable: no peer has the routing id the message is for.
	ErrHostUnreachable = errors.New("zmq: no peer with this routing id")
	// ErrPeerGone: the peer that was asked went away without a reply. Whether
	// it acted on the request is not known.
	ErrPeerGone = errors.New("zmq: the peer went away without a reply")
	// ErrNotSupported: the socket, transport or option cannot do this.
	ErrNotSupported = errors.New("zmq: not supported")
	// ErrMessageTooLarge: a message over the maximum size.
	ErrMessageTooLarge = errors.New("zmq: message too large")
	// ErrNoEndpoint: the socket has no such endpoint.
	ErrNoEndpoint = errors.New("zmq: no such endpoint")
	// ErrAddressInUse: another socket has this address; of inproc, another of the
	// same Context.
	ErrAddressInUse = errors.New("zmq: address in use")
)

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "zmq: operation would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// MultipartError is what RecvBytes returns for a message of several frames.
// It carries the message, so that nothing is lost.
type MultipartError struct {
	Msg Msg
}

func (e *MultipartError) Error() string {
	return fmt.Sprintf("zmq: RecvBytes got a message of %d frames, expected one", len(e.Msg))
}

// errAgain is how a pattern says that the caller has to wait.
var errAgain = errors.New("again")
