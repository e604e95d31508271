package zmq4

import (
	"errors"

	zmq4 "lintel.dev/compat/pebbe"
	"lintel.dev/compat/pebbe/internal/hooks"
)

// Type is the type of a socket.
type Type int

// The types of sockets.
const (
	PAIR   = Type(zmq4.PAIR)
	PUB    = Type(zmq4.PUB)
	SUB    = Type(zmq4.SUB)
	REQ    = Type(zmq4.REQ)
	REP    = Type(zmq4.REP)
	DEALER = Type(zmq4.DEALER)
	ROUTER = Type(zmq4.ROUTER)
	PULL   = Type(zmq4.PULL)
	PUSH   = Type(zmq4.PUSH)
	XPUB   = Type(zmq4.XPUB)
	XSUB   = Type(zmq4.XSUB)
	STREAM = Type(zmq4.STREAM)

	SERVER  = Type(hooks.FirstDraft)
	CLIENT  = Type(hooks.FirstDraft + 1)
	RADIO   = Type(hooks.FirstDraft + 2)
	DISH    = Type(hooks.FirstDraft + 3)
	GATHER  = Type(hooks.FirstDraft + 4)
	SCATTER = Type(hooks.FirstDraft + 5)
	DGRAM   = Type(hooks.FirstDraft + 6)
)

func (t Type) String() string {
	if t >= SERVER && t <= DGRAM {
		return hooks.DraftTypes[t-SERVER]
	}
	return zmq4.Type(t).String()
}

// Types of package compat/pebbe.
type (
	Flag      = zmq4.Flag      // of Send and Recv
	State     = zmq4.State     // what a socket can do without waiting
	Event     = zmq4.Event     // a set of events of Monitor, or one event of RecvEvent
	Mechanism = zmq4.Mechanism // a security mechanism
	Errno     = zmq4.Errno     // an error of the system or of libzmq
)

// The flags of Send and Recv.
const (
	DONTWAIT = zmq4.DONTWAIT
	SNDMORE  = zmq4.SNDMORE
)

// The bits of a State.
const (
	POLLIN  = zmq4.POLLIN
	POLLOUT = zmq4.POLLOUT
)

// The events of a monitor.
const (
	EVENT_ALL                        = zmq4.EVENT_ALL
	EVENT_CONNECTED                  = zmq4.EVENT_CONNECTED
	EVENT_CONNECT_DELAYED            = zmq4.EVENT_CONNECT_DELAYED
	EVENT_CONNECT_RETRIED            = zmq4.EVENT_CONNECT_RETRIED
	EVENT_LISTENING                  = zmq4.EVENT_LISTENING
	EVENT_BIND_FAILED                = zmq4.EVENT_BIND_FAILED
	EVENT_ACCEPTED                   = zmq4.EVENT_ACCEPTED
	EVENT_ACCEPT_FAILED              = zmq4.EVENT_ACCEPT_FAILED
	EVENT_CLOSED                     = zmq4.EVENT_CLOSED
	EVENT_CLOSE_FAILED               = zmq4.EVENT_CLOSE_FAILED
	EVENT_DISCONNECTED               = zmq4.EVENT_DISCONNECTED
	EVENT_MONITOR_STOPPED            = zmq4.EVENT_MONITOR_STOPPED
	EVENT_HANDSHAKE_FAILED_NO_DETAIL = zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL
	EVENT_HANDSHAKE_SUCCEEDED        = zmq4.EVENT_HANDSHAKE_SUCCEEDED
	EVENT_HANDSHAKE_FAILED_PROTOCOL  = zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL
	EVENT_HANDSHAKE_FAILED_AUTH      = zmq4.EVENT_HANDSHAKE_FAILED_AUTH
)

// The security mechanisms. There is no GSSAPI.
const (
	NULL   = zmq4.NULL
	PLAIN  = zmq4.PLAIN
	CURVE  = zmq4.CURVE
	GSSAPI = zmq4.GSSAPI
)

// Errors of the system and of libzmq.
const (
	EADDRINUSE      = zmq4.EADDRINUSE
	EADDRNOTAVAIL   = zmq4.EADDRNOTAVAIL
	EAFNOSUPPORT    = zmq4.EAFNOSUPPORT
	ECONNABORTED    = zmq4.ECONNABORTED
	ECONNREFUSED    = zmq4.ECONNREFUSED
	ECONNRESET      = zmq4.ECONNRESET
	EHOSTUNREACH    = zmq4.EHOSTUNREACH
	EINPROGRESS     = zmq4.EINPROGRESS
	EMSGSIZE        = zmq4.EMSGSIZE
	ENETDOWN        = zmq4.ENETDOWN
	ENETRESET       = zmq4.ENETRESET
	ENETUNREACH     = zmq4.ENETUNREACH
	ENOBUFS         = zmq4.ENOBUFS
	ENOTCONN        = zmq4.ENOTCONN
	ENOTSOCK        = zmq4.ENOTSOCK
	ENOTSUP         = zmq4.ENOTSUP
	EPROTONOSUPPORT = zmq4.EPROTONOSUPPORT
	ETIMEDOUT       = zmq4.ETIMEDOUT
	EFSM            = zmq4.EFSM
	ENOCOMPATPROTO  = zmq4.ENOCOMPATPROTO
	ETERM           = zmq4.ETERM
	EMTHREAD        = zmq4.EMTHREAD
)

// The defaults of a Context, and the key that stands for all in AuthCurveAdd.
const (
	MaxSocketsDflt  = zmq4.MaxSocketsDflt
	IoThreadsDflt   = zmq4.IoThreadsDflt
	CURVE_ALLOW_ANY = zmq4.CURVE_ALLOW_ANY
)

// Errors that are not an Errno.
var (
	ErrorContextClosed         = zmq4.ErrorContextClosed
	ErrorSocketClosed          = zmq4.ErrorSocketClosed
	ErrorMoreExpected          = zmq4.ErrorMoreExpected
	ErrorNotImplemented405     = zmq4.ErrorNotImplemented405
	ErrorNotImplemented41      = zmq4.ErrorNotImplemented41
	ErrorNotImplemented42      = zmq4.ErrorNotImplemented42
	ErrorNotImplementedWindows = zmq4.ErrorNotImplementedWindows
	ErrorNoSocket              = zmq4.ErrorNoSocket
)

//lint:file-ignore ST1005 the texts are upstream's

// Errors of libzmq without drafts or before 4.3.5. No call returns one.
var (
	ErrorNotImplemented42draft = errors.New("Not implemented, requires 0MQ version 4.2 with drafts enabled")
	ErrorNotImplemented43      = errors.New("Not implemented, requires 0MQ version 4.3")
	ErrorNotImplemented433     = errors.New("Not implemented, requires 0MQ version 4.3.3")
	ErrorNotImplemented435     = errors.New("Not implemented, requires 0MQ version 4.3.5")
)
