package memcache

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Protocol chooses the commands that are spoken.
type Protocol int

const (
	// ProtocolAuto speaks meta commands where the server has them, which it
	// is asked once per connection, and classic ones elsewhere.
	ProtocolAuto Protocol = iota
	// ProtocolMeta insists on meta commands (memcached 1.6 and later).
	ProtocolMeta
	// ProtocolClassic never sends a meta command: for proxies that close the
	// connection at the sight of one.
	ProtocolClassic
)

// Failover says what becomes of a request whose server cannot be reached.
type Failover int

const (
	// FailError returns the error: nothing is ever placed elsewhere.
	FailError Failover = iota
	// FailMiss turns reads into misses; other requests return the error.
	FailMiss
	// FailNext asks the server that the placement ranks next. An item may
	// then outlive its deletion on the server that comes back: give items a
	// TTL that the application can live with.
	FailNext
	// FailGutter asks a server of Options.Gutter, where items live for
	// Options.GutterTTL at most.
	FailGutter
)

// Resolver looks up addresses. *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addrs []string, err error)
}

// defaultTimeout is that of connecting, queueing, writing and reading. Tests on
// real sockets have more time.
var defaultTimeout = time.Second

// Options are the client's settings. The zero value of each field is the
// default that its comment gives.
type Options struct {
	// Selector places keys on servers. Default: Placement("rendezvous").
	Selector Selector
	// Protocol chooses the commands. Default: ProtocolAuto.
	Protocol Protocol
	// Conns is the number of connections to each server, 1 to 64. One carries
	// every caller's requests. Default: 1.
	Conns int

	// DialTimeout bounds connecting, TLS and authentication. Default: 1 s.
	DialTimeout time.Duration
	// QueueTimeout bounds the wait for a connection, or for room in its queue.
	// Default: 1 s.
	QueueTimeout time.Duration
	// WriteTimeout bounds one write. Default: 1 s.
	WriteTimeout time.Duration
	// ReadTimeout bounds the time between two replies, or between a request
	// and its reply when nothing else is in flight. It is checked in steps of
	// a quarter. Default: 1 s.
	ReadTimeout time.Duration
	// BackoffMin and BackoffMax bound the time for which a server that failed
	// is not tried again. It doubles with each failure in a row and is
	// shortened at random by up to a half. Default: 50 ms and 5 s.
	BackoffMin, BackoffMax time.Duration

	// Failover is what happens when a server cannot be reached. Default: FailError.
	Failover Failover
	// Gutter lists the servers of FailGutter, in the syntax of New.
	Gutter []string
	// GutterTTL is the longest life of an item in the gutter. Default: 10 s.
	GutterTTL time.Duration

	// EncodeKeys lets keys hold any byte. Those that the protocol could not
	// carry, for a space, a control character or DEL in them, go in base64 (flag
	// b of the meta commands) and may have 186 bytes; the server knows them as
	// they are. Servers without meta commands cannot have them: ErrMalformedKey.
	EncodeKeys bool
	// MaxItemSize is the largest value in bytes that is sent or accepted.
	// Default: 128 MiB.
	MaxItemSize int

	// Dial makes connections; network is "tcp" or "unix". Default: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS wraps TCP connections when it is set. ServerName defaults to the
	// server's host; Certificates make it mutual.
	TLS *tls.Config
	// Username and Password authenticate by the ASCII token of memcached -Y.
	Username, Password string

	// Resolver resolves host names. Default: net.DefaultResolver.
	Resolver Resolver
	// ResolveEvery is how often host names are looked up again; connections
	// to addresses that are gone are drained. Negative: never. Default: 30 s.
	ResolveEvery time.Duration

	// Hooks are told what happens.
	Hooks Hooks
}

// withDefaults returns a copy with every field filled in, or what is wrong.
func (o *Options) withDefaults() (*Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Gutter = append([]string(nil), c.Gutter...)
	if c.Selector == nil {
		c.Selector = Rendezvous()
	}
	if c.Conns == 0 {
		c.Conns = 1
	}
	if c.Conns < 1 || c.Conns > 64 {
		return nil, fmt.Errorf("memcache: Options.Conns is %d, expected 1 to 64", c.Conns)
	}
	for _, d := range []struct {
		name string
		at   *time.Duration
		def  time.Duration
	}{
		{"DialTimeout", &c.DialTimeout, defaultTimeout},
		{"QueueTimeout", &c.QueueTimeout, defaultTimeout},
		{"WriteTimeout", &c.WriteTimeout, defaultTimeout},
		{"ReadTimeout", &c.ReadTimeout, defaultTimeout},
		{"BackoffMin", &c.BackoffMin, 50 * time.Millisecond},
		{"BackoffMax", &c.BackoffMax, 5 * time.Second},
		{"GutterTTL", &c.GutterTTL, 10 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.def
		}
		if *d.at < time.Millisecond {
			return nil, fmt.Errorf("memcache: Options.%s is %v, expected 1ms or more", d.name, *d.at)
		}
	}
	if c.BackoffMax < c.BackoffMin {
		return nil, fmt.Errorf("memcache: Options.BackoffMax %v is below BackoffMin %v", c.BackoffMax, c.BackoffMin)
	}
	if c.MaxItemSize == 0 {
		c.MaxItemSize = 128 << 20
	}
	if c.MaxItemSize < 0 || c.MaxItemSize > 1<<30 {
		return nil, fmt.Errorf("memcache: Options.MaxItemSize is %d, expected 1 to %d", c.MaxItemSize, 1<<30)
	}
	if c.Protocol < ProtocolAuto || c.Protocol > ProtocolClassic {
		return nil, fmt.Errorf("memcache: unknown Options.Protocol %d", c.Protocol)
	}
	if c.Failover < FailError || c.Failover > FailGutter {
		return nil, fmt.Errorf("memcache: unknown Options.Failover %d", c.Failover)
	}
	if c.Failover == FailGutter && len(c.Gutter) == 0 {
		return nil, fmt.Errorf("memcache: FailGutter without servers in Options.Gutter")
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.ResolveEvery == 0 {
		c.ResolveEvery = 30 * time.Second
	}
	return &c, nil
}
