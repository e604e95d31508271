package zmq4

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	"lintel.dev/zmq"
)

// Errno is an error of the system or of libzmq.
type Errno uintptr

// Errors of the system, with its numbers.
const (
	EADDRINUSE      = Errno(syscall.EADDRINUSE)
	EADDRNOTAVAIL   = Errno(syscall.EADDRNOTAVAIL)
	EAFNOSUPPORT    = Errno(syscall.EAFNOSUPPORT)
	ECONNABORTED    = Errno(syscall.ECONNABORTED)
	ECONNREFUSED    = Errno(syscall.ECONNREFUSED)
	ECONNRESET      = Errno(syscall.ECONNRESET)
	EHOSTUNREACH    = Errno(syscall.EHOSTUNREACH)
	EINPROGRESS     = Errno(syscall.EINPROGRESS)
	EMSGSIZE        = Errno(syscall.EMSGSIZE)
	ENETDOWN        = Errno(syscall.ENETDOWN)
	ENETRESET       = Errno(syscall.ENETRESET)
	ENETUNREACH     = Errno(syscall.ENETUNREACH)
	ENOBUFS         = Errno(syscall.ENOBUFS)
	ENOTCONN        = Errno(syscall.ENOTCONN)
	ENOTSOCK        = Errno(syscall.ENOTSOCK)
	ENOTSUP         = Errno(syscall.ENOTSUP)
	EPROTONOSUPPORT = Errno(syscall.EPROTONOSUPPORT)
	ETIMEDOUT       = Errno(syscall.ETIMEDOUT)
)

// Errors of libzmq.
const (
	EFSM           = Errno(hausnumero + 51)
	ENOCOMPATPROTO = Errno(hausnumero + 52)
	ETERM          = Errno(hausnumero + 53)
	EMTHREAD       = Errno(hausnumero + 54)
)

// hausnumero is where libzmq's own numbers begin (ZMQ_HAUSNUMERO).
const hausnumero = 156384712

// Errors of the system that upstream has no names for.
const (
	eagain       = Errno(syscall.EAGAIN)
	einval       = Errno(syscall.EINVAL)
	emfile       = Errno(syscall.EMFILE)
	enametoolong = Errno(syscall.ENAMETOOLONG)
	enodev       = Errno(syscall.ENODEV)
	enoent       = Errno(syscall.ENOENT)
)

//lint:file-ignore ST1005 the texts are upstream's

// Errors of this package that are not an Errno.
var (
	ErrorContextClosed         = errors.New("Context is closed")
	ErrorSocketClosed          = errors.New("Socket is closed")
	ErrorMoreExpected          = errors.New("More expected")
	ErrorNotImplemented405     = errors.New("Not implemented, requires 0MQ version 4.0.5")
	ErrorNotImplemented41      = errors.New("Not implemented, requires 0MQ version 4.1")
	ErrorNotImplemented42      = errors.New("Not implemented, requires 0MQ version 4.2")
	ErrorNotImplementedWindows = errors.New("Not implemented on Windows")
	ErrorNoSocket              = errors.New("No such socket")
)

// texts are zmq_strerror's own.
var texts = map[Errno]string{
	EFSM:           "Operation cannot be accomplished in current state",
	ENOCOMPATPROTO: "The protocol is not compatible with the socket type",
	ETERM:          "Context was terminated",
	EMTHREAD:       "No thread available",
}

// Error returns libzmq's text for its own errors, and the system's for others.
func (errno Errno) Error() string {
	if text, ok := texts[errno]; ok {
		return text
	}
	return syscall.Errno(errno).Error()
}

// Error returns the text of an error number, as zmq_strerror does.
func Error(e int) string {
	if Errno(e) == EHOSTUNREACH {
		return "Host unreachable"
	}
	text := Errno(e).Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// AsErrno returns err if it is an Errno or a syscall.Errno, else 0. It does not
// unwrap.
func AsErrno(err error) Errno {
	switch e := err.(type) {
	case Errno:
		return e
	case syscall.Errno:
		return Errno(e)
	}
	return 0
}

// errnos are the errors of lintel.dev/zmq.
var errnos = []struct {
	err   error
	errno Errno
}{
	{zmq.ErrWouldBlock, eagain},
	{zmq.ErrTerminated, ETERM},
	{zmq.ErrClosed, ETERM}, // by another goroutine during the call
	{zmq.ErrState, EFSM},
	{zmq.ErrHostUnreachable, EHOSTUNREACH},
	{zmq.ErrUnknownTransport, EPROTONOSUPPORT},
	{zmq.ErrAddressInUse, EADDRINUSE},
	{zmq.ErrPathTooLong, enametoolong},
	{zmq.ErrMessageTooLarge, EMSGSIZE},
	{zmq.ErrNoEndpoint, enoent},
	{context.Canceled, eagain}, // of noWait
}

// errnoOf returns the Errno of an error of lintel.dev/zmq, which is unsupported
// for zmq.ErrNotSupported. It returns an Errno as it is.
func errnoOf(err error, unsupported Errno) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(Errno); ok {
		return e
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno
		}
	}
	var system syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.Is(err, zmq.ErrNotSupported):
		return unsupported
	case errors.As(err, &system):
		return Errno(system)
	case errors.As(err, &dns):
		return enodev
	}
	return einval
}
