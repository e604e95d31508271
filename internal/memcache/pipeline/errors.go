package pipeline

import "errors"

// Answers. The client returns them as they are.
var (
	ErrCacheMiss   = errors.New("memcache: cache miss")
	ErrNotStored   = errors.New("memcache: item not stored")
	ErrCASConflict = errors.New("memcache: compare-and-swap conflict")
	ErrNotNumber   = errors.New("memcache: value is not a number")
	ErrTooLarge    = errors.New("memcache: value too large")
	// ErrServer is every other error line of a server.
	ErrServer = errors.New("memcache: server error")
)

// Failures of the way to a server. ErrServerDown matches all but ErrTimeout and
// ErrBusy, which ErrTimeout matches.
var (
	ErrServerDown = errors.New("memcache: server is down")
	ErrTimeout    = errors.New("memcache: timeout")
	// ErrBusy: the send queue is full.
	ErrBusy error = &kind{"memcache: send queue is full", ErrTimeout}
	// ErrConnLost: the connection broke before the reply arrived.
	ErrConnLost error = &kind{"memcache: connection lost", ErrServerDown}
	// ErrProtocol: the reply does not match the request.
	ErrProtocol error = &kind{"memcache: reply does not match the request", ErrServerDown}
	// ErrAuth: the server refused user name and password.
	ErrAuth error = &kind{"memcache: authentication failed", ErrServerDown}
)

// Conditions of the client.
var (
	ErrNoServers = errors.New("memcache: no servers")
	ErrClosed    = errors.New("memcache: client is closed")
	// ErrUnsent: the connection did not accept the request. Nothing was sent.
	ErrUnsent = errors.New("memcache: request not sent")
	// ErrDowngrade: the server returns no opaques with misses, which meta commands
	// need: use classic commands.
	ErrDowngrade error = &kind{"memcache: server returns no opaques", ErrServerDown}
)

// kind is a sentinel that a more general one matches.
type kind struct {
	text string
	of   error
}

func (k *kind) Error() string { return k.text }

func (k *kind) Is(target error) bool { return target == k.of }

// ReplyError is an error line of a server. It matches ErrServer.
type ReplyError struct{ Line string }

func (e *ReplyError) Error() string { return "memcache: server answered " + e.Line }

// Is reports whether target is ErrServer.
func (e *ReplyError) Is(target error) bool { return target == ErrServer }
