package shim

import (
	"errors"
	"io"
	"net"

	"lintel.dev/memcache"
)

// The errors of gomemcache.
var (
	ErrCacheMiss    = errors.New("memcache: cache miss")
	ErrCASConflict  = errors.New("memcache: compare-and-swap conflict")
	ErrNotStored    = errors.New("memcache: item not stored")
	ErrServerError  = errors.New("memcache: server error")
	ErrNoStats      = errors.New("memcache: no statistics available")
	ErrMalformedKey = errors.New("malformed: key is too long or contains invalid characters")
	ErrNoServers    = errors.New("memcache: no servers configured or available")
)

// ConnectTimeoutError is returned if connecting to a server took longer than the timeout.
type ConnectTimeoutError struct {
	Addr net.Addr
}

func (e *ConnectTimeoutError) Error() string {
	return "memcache: connect timeout to " + e.Addr.String()
}

// adapted is an error that matches one of gomemcache's and keeps its cause.
type adapted struct {
	text      string
	as, cause error
}

func (e *adapted) Error() string   { return e.text }
func (e *adapted) Unwrap() []error { return []error{e.as, e.cause} }

// timeout is a net.Error for a server that does not answer in time.
type timeout struct{ error }

func (e *timeout) Timeout() bool   { return true }
func (e *timeout) Temporary() bool { return true }
func (e *timeout) Unwrap() error   { return e.error }

// Adapt converts an error of package memcache to one of gomemcache. Answers are the
// bare values, for programs that compare with ==; errors of the network are those of
// package net.
func Adapt(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, memcache.ErrCacheMiss):
		return ErrCacheMiss
	case errors.Is(err, memcache.ErrCASConflict):
		return ErrCASConflict
	case errors.Is(err, memcache.ErrNotStored):
		return ErrNotStored
	case errors.Is(err, memcache.ErrMalformedKey):
		return ErrMalformedKey
	case errors.Is(err, memcache.ErrNoServers):
		return ErrNoServers
	case errors.Is(err, memcache.ErrNotNumber):
		return &adapted{"memcache: client error: cannot increment or decrement non-numeric value", ErrServerError, err}
	case errors.Is(err, memcache.ErrServer), errors.Is(err, memcache.ErrTooLarge):
		return &adapted{err.Error(), ErrServerError, err}
	}
	if connect, ok := errors.AsType[*ConnectTimeoutError](err); ok {
		return connect
	}
	if errors.Is(err, memcache.ErrTimeout) {
		return &timeout{err}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
