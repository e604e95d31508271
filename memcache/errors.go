package memcache

import (
	"errors"
	"strings"
)

// The answers a caller tests for with errors.Is.
var (
	// ErrCacheMiss: the server has no live item under the key.
	ErrCacheMiss = errors.New("memcache: cache miss")
	// ErrNotStored: the condition of Add, Replace, Append or Prepend did not hold.
	ErrNotStored = errors.New("memcache: item not stored")
	// ErrCASConflict: the item changed since it was read.
	ErrCASConflict = errors.New("memcache: compare-and-swap conflict")
	// ErrNotNumber: Increment or Decrement met a value that is not a decimal number below 2^64.
	ErrNotNumber = errors.New("memcache: value is not a number")
)

// What the client refuses before anything is sent.
var (
	// ErrMalformedKey: a key is 1 to 250 bytes, none of them a space, a control character or DEL.
	ErrMalformedKey = errors.New("memcache: malformed key")
	// ErrTooLarge: the value is over Options.MaxItemSize, or over what the server takes.
	ErrTooLarge = errors.New("memcache: value too large")
	// ErrTTL: a duration of FetchOptions is negative.
	ErrTTL = errors.New("memcache: TTL out of range")
	// ErrNoServers: the client has no server, or none of them may be used.
	ErrNoServers = errors.New("memcache: no servers")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("memcache: client is closed")
)

// What goes wrong on the way to a server. They come wrapped in a
// [ServerError], which says which server it was.
var (
	// ErrServer: the server answered SERVER_ERROR, CLIENT_ERROR or ERROR.
	ErrServer = errors.New("memcache: server error")
	// ErrServerDown: the server failed lately and is not tried again yet.
	ErrServerDown = errors.New("memcache: server is down")
	// ErrTimeout: the server did not accept or answer within its bounds.
	ErrTimeout = errors.New("memcache: timeout")
	// ErrBusy: the connection's queue stayed full for Options.QueueTimeout.
	ErrBusy = errors.New("memcache: queue is full")
	// ErrConnLost: the connection broke before the reply was there.
	ErrConnLost = errors.New("memcache: connection lost")
	// ErrProtocol: the reply was not one to the request. The connection is closed.
	ErrProtocol = errors.New("memcache: reply does not match the request")
	// ErrAuth: the server refused the user name and password.
	ErrAuth = errors.New("memcache: authentication failed")
)

const errPrefix = "memcache: "

// ServerError says which server an error came from.
type ServerError struct {
	Server string // as Client.Servers names it
	Err    error
}

func (e *ServerError) Error() string {
	return errPrefix + e.Server + ": " + strings.TrimPrefix(e.Err.Error(), errPrefix)
}

func (e *ServerError) Unwrap() error { return e.Err }

// replyError is an error line of a server: errors.Is(err, ErrServer).
type replyError struct{ line string }

func (e *replyError) Error() string { return errPrefix + "server answered " + e.line }

func (e *replyError) Is(target error) bool { return target == ErrServer }

// isDown tells errors of the way to a server, after which another server may
// be asked, from answers.
func isDown(err error) bool {
	return errors.Is(err, ErrServerDown) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrBusy) ||
		errors.Is(err, ErrConnLost) || errors.Is(err, ErrProtocol) || errors.Is(err, ErrAuth)
}
