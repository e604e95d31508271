package nearcache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel.dev/internal/nearcache/state"
	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/zmq"
)

// ErrNoInvalidations is returned by New if a server does not publish invalidations.
var ErrNoInvalidations = errors.New("nearcache: server has no invalidations")

// Defaults of Options.
const (
	DefaultMaxBytes = 64 << 20
	DefaultMaxStale = time.Second
)

// Options are the settings of a Cache. The zero value of each field selects the
// default in its comment.
type Options struct {
	// MaxBytes bounds the memory of keys and values, with about 100 bytes for each.
	// Default: 64 MiB.
	MaxBytes int64
	// MaxValue is the size in bytes of the largest value that is kept. Default, and at
	// most: about an eighth of a 64th of MaxBytes.
	MaxValue int
	// MaxStale bounds the staleness of what is served, at least 10 ms. A quarter of it
	// should be longer than a round trip to a server. Default: 1 s.
	MaxStale time.Duration
	// MaxAge bounds the time for which a value is served without asking its server
	// again, whatever the server published. Default: no bound but the TTL.
	MaxAge time.Duration
	// KeyMaxAge, if not nil, returns the MaxAge of a key: 0 is no bound, negative
	// is not to keep the value. It must be safe for concurrent use.
	KeyMaxAge func(key string) time.Duration
	// Negative is the time for which the knowledge that a key is missing is kept.
	// Default: it is not kept.
	Negative time.Duration

	// TTLOnly accepts servers without invalidations and keeps their values for MaxStale.
	// Default: New returns ErrNoInvalidations for them.
	TTLOnly bool
	// Feed, if not nil, returns the endpoint of the feed of a server, such as
	// tcp://10.0.0.1:5556. server is its name in memcache.Client.Servers, endpoints
	// are those that it named. Default: the first endpoint, with the host of the server
	// if the endpoint's is a wildcard.
	Feed func(server string, endpoints []string) string
	// Sockets are options of the sockets that follow the feeds, such as zmq.WithCurve.
	Sockets []zmq.Option

	// Set by tests.
	mutants  state.Mutants
	openFeed func(endpoint string) (feed, error)
}

// feed is the socket that follows a feed.
type feed interface {
	Recv(ctx context.Context) (zmq.Msg, error)
	Close() error
}

// withDefaults returns a copy of o with every default filled in, or an error for an
// invalid field.
func (o *Options) withDefaults() (Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxStale == 0 {
		c.MaxStale = DefaultMaxStale
	}
	switch {
	case c.MaxBytes < 0:
		return c, fmt.Errorf("nearcache: Options.MaxBytes is %d, expected 0 or more", c.MaxBytes)
	case c.MaxValue < 0:
		return c, fmt.Errorf("nearcache: Options.MaxValue is %d, expected 0 or more", c.MaxValue)
	case c.MaxStale < 10*time.Millisecond:
		return c, fmt.Errorf("nearcache: Options.MaxStale is %v, expected 10ms or more", c.MaxStale)
	case c.MaxAge < 0:
		return c, fmt.Errorf("nearcache: Options.MaxAge is %v, expected 0 or more", c.MaxAge)
	case c.Negative < 0:
		return c, fmt.Errorf("nearcache: Options.Negative is %v, expected 0 or more", c.Negative)
	}
	if c.openFeed == nil {
		c.openFeed = c.connect
	}
	return c, nil
}

// The bounds of what waits in the socket of a feed. What exceeds them is lost at the
// publisher, and noticed.
const (
	feedMessages = 1000
	feedOctets   = 4 << 20 // of one message; wire.MaxRecords with the longest prefixes have a quarter
)

// connect returns a socket that follows the feed at endpoint.
func (o *Options) connect(endpoint string) (feed, error) {
	sub, err := zmq.NewSub(append([]zmq.Option{
		zmq.WithSubscribe(wire.Topic), zmq.WithHWM(feedMessages),
		zmq.WithMaxMessage(feedOctets, 3), zmq.WithReconnect(50*time.Millisecond, time.Second),
	}, o.Sockets...)...)
	if err != nil {
		return nil, err
	}
	if _, err := sub.Connect(endpoint); err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// maxAge returns the bound of the age of a key's value, negative for a key that is
// not kept.
func (o *Options) maxAge(key string) int64 {
	if o.KeyMaxAge != nil {
		return int64(o.KeyMaxAge(key))
	}
	return int64(o.MaxAge)
}
