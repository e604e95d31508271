package memcache

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lintel.dev/internal/memcache/pipeline"
)

// Answers of a server, and of Fetch.
var (
	// ErrCacheMiss: the server has no live item under the key.
	ErrCacheMiss = pipeline.ErrCacheMiss
	// ErrNotStored: the condition of Add, Replace, Append or Prepend is not met.
	ErrNotStored = pipeline.ErrNotStored
	// ErrCASConflict: the item changed since it was read.
	ErrCASConflict = pipeline.ErrCASConflict
	// ErrNotNumber: the value of Increment or Decrement is not a decimal number below 2^64.
	ErrNotNumber = pipeline.ErrNotNumber
	// ErrNotFound: a load function of Fetch returns it, wrapped or not, if there is no
	// value to cache. With FetchOptions.NegativeTTL that answer is cached.
	ErrNotFound = errors.New("memcache: not found")
)

// Invalid arguments. The error text has the key and the limit.
var (
	// ErrMalformedKey: a key is 1 to 250 bytes, none of them a space, a control
	// character or DEL. Options.EncodeKeys allows more.
	ErrMalformedKey = errors.New("memcache: malformed key")
	// ErrTooLarge: the value is larger than Options.MaxItemSize or the server's limit.
	ErrTooLarge = pipeline.ErrTooLarge
)

// Failures.
var (
	// ErrServer: the server answered SERVER_ERROR, CLIENT_ERROR or ERROR.
	ErrServer = pipeline.ErrServer
	// ErrServerDown: the server cannot be reached, refused the password, or the
	// connection failed before the reply arrived.
	ErrServerDown = pipeline.ErrServerDown
	// ErrTimeout: the server did not accept or answer the request within a timeout of
	// Options.
	ErrTimeout = pipeline.ErrTimeout
	// ErrNoServers: the client has no servers, or none that may be used.
	ErrNoServers = pipeline.ErrNoServers
	// ErrClosed: the client is closed.
	ErrClosed = pipeline.ErrClosed
)

// Error adds the key and the server to an error.
type Error struct {
	Key    string // "" if the error concerns the server as a whole
	Server string // as Client.Servers names it; "" if the request was not sent
	Err    error
}

func (e *Error) Error() string {
	text := "memcache: "
	if e.Server != "" {
		text += e.Server + ": "
	}
	if e.Key != "" {
		text += "key " + strconv.Quote(e.Key) + ": "
	}
	return text + strings.TrimPrefix(e.Err.Error(), "memcache: ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// isDown reports whether err is a failure of the way to a server, after which another
// server may be asked.
func isDown(err error) bool {
	return errors.Is(err, ErrServerDown) || errors.Is(err, ErrTimeout)
}

// maxEncodedKey is the longest key in bytes whose base64 form fits MaxKeyLen.
const maxEncodedKey = pipeline.MaxKeyLen / 4 * 3

// checkKey returns an error if key cannot be sent. encoded reports that it must be sent
// in base64.
func (o *Options) checkKey(key string) (encoded bool, err error) {
	if pipeline.PlainKey(key) {
		return false, nil
	}
	limit := pipeline.MaxKeyLen
	if o.EncodeKeys && len(key) > 0 {
		if len(key) <= maxEncodedKey {
			return true, nil
		}
		limit = maxEncodedKey
	}
	shown := key[:min(len(key), 2*pipeline.MaxKeyLen)]
	if len(key) == 0 || len(key) > limit {
		return false, &Error{Key: shown, Err: fmt.Errorf("%w: %d bytes, expected 1 to %d", ErrMalformedKey, len(key), limit)}
	}
	at := strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f })
	return false, &Error{Key: shown, Err: fmt.Errorf("%w: byte %#02x at offset %d, expected neither space, control character nor DEL", ErrMalformedKey, key[at], at)}
}

// checkSize returns an error if the value of it is too large.
func (o *Options) checkSize(it *Item) error {
	if len(it.Value) <= o.MaxItemSize {
		return nil
	}
	return &Error{Key: it.Key, Err: fmt.Errorf("%w: %d bytes, the limit is %d (Options.MaxItemSize)", ErrTooLarge, len(it.Value), o.MaxItemSize)}
}
