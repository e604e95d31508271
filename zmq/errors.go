package zmq

import (
	"errors"
	"fmt"
)

// Errors to test for with errors.Is.
var (
	// ErrClosed is returned by calls on a closed socket, also by those that
	// were blocked when it was closed.
	ErrClosed = errors.New("zmq: socket closed")
	// ErrTerminated is returned by calls on the sockets of a Context that was
	// shut down.
	ErrTerminated = errors.New("zmq: context terminated")
	// ErrWouldBlock is returned by TrySend and TryRecv that would have to wait,
	// and by other calls when the option sndtimeo or rcvtimeo ends the wait. It
	// has a method Timeout that returns true, as net.Error does.
	ErrWouldBlock error = wouldBlock{}
	// ErrState is returned by a call out of order on a REQ or REP socket.
	ErrState = errors.New("zmq: out of order: requests and replies alternate")
	// ErrHostUnreachable is returned when no peer has the routing id.
	ErrHostUnreachable = errors.New("zmq: no peer with this routing id")
	// ErrPeerGone is returned by Req.Request when the peer that got the request
	// disconnected before it replied. The peer may have acted on the request.
	ErrPeerGone = errors.New("zmq: the peer disconnected without a reply")
	// ErrNotSupported is returned for what the socket type, the transport or
	// the option cannot do.
	ErrNotSupported = errors.New("zmq: not supported")
	// ErrMessageTooLarge is returned for a message that the transport cannot
	// carry.
	ErrMessageTooLarge = errors.New("zmq: message too large")
	// ErrNoEndpoint is returned by Endpoint.Close when the endpoint is closed
	// already.
	ErrNoEndpoint = errors.New("zmq: no such endpoint")
	// ErrAddressInUse is returned by Bind when another socket has the address;
	// for inproc, another socket of the same Context.
	ErrAddressInUse = errors.New("zmq: address in use")
	// ErrUnknownTransport is returned by Bind and Connect for an endpoint whose
	// scheme is none of those that Socket.Bind lists.
	ErrUnknownTransport = errors.New("zmq: unknown transport")
	// ErrPathTooLong is returned by Bind and Connect for an ipc path that is
	// longer than the system allows.
	ErrPathTooLong = errors.New("zmq: ipc path too long")
	// ErrNoAuthenticator is the reason of an event when a peer was refused
	// because the socket has no Authenticator and its Context no ZAP handler.
	ErrNoAuthenticator = errors.New("zmq: no authenticator and no ZAP handler to decide about the peer")
)

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "zmq: operation would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// MultipartError is returned by RecvBytes, RecvInto and Views for a message of
// several frames. It holds the message.
type MultipartError struct {
	Msg Msg
}

func (e *MultipartError) Error() string {
	return fmt.Sprintf("zmq: received a message of %d frames, expected one", len(e.Msg))
}

// errAgain is returned by a pattern when the caller has to wait.
var errAgain = errors.New("again")
