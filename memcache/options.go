package memcache

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"lintel.dev/internal/memcache/pipeline"
	"lintel.dev/memcache/discovery"
	"lintel.dev/memcache/placement"
)

// Protocol chooses the commands that the client uses.
type Protocol int

const (
	// ProtocolAuto uses meta commands with servers that have them (memcached 1.6.10
	// and later) and classic ones with others. The client finds out when it connects,
	// before it sends a value.
	ProtocolAuto Protocol = iota
	// ProtocolMeta uses meta commands only. Servers without them are an error.
	ProtocolMeta
	// ProtocolClassic uses classic commands only and never sends a meta command: some
	// proxies close the connection when they get one.
	ProtocolClassic
)

// Failover is the policy for requests whose server cannot be reached.
type Failover int

const (
	// FailError returns the error. No item is ever placed on another server.
	FailError Failover = iota
	// FailMiss answers reads with ErrCacheMiss; other requests return the error.
	FailMiss
	// FailNext sends the request to the server that is next in the placement. When the
	// failed server comes back, it may still have items that were deleted meanwhile:
	// give items a TTL that the application tolerates.
	FailNext
	// FailGutter sends the request to a server of Options.Gutter, where items live for
	// at most Options.GutterTTL.
	FailGutter
)

// defaultTimeout is the default of the timeouts. Tests on real sockets raise it.
var defaultTimeout = time.Second

// Options are the settings of a client. The zero value of each field selects the
// default in its comment.
type Options struct {
	// Selector is the placement rule. Default: placement.Rendezvous.
	Selector placement.Selector
	// Protocol chooses the commands. Default: ProtocolAuto.
	Protocol Protocol
	// Conns is the number of connections to each server, 1 to 64. One connection carries
	// the requests of any number of callers. Default: 1.
	Conns int

	// DialTimeout bounds connecting, with TLS and authentication. Default: 1 s.
	DialTimeout time.Duration
	// QueueTimeout bounds the wait for a connection and for room in its send queue.
	// Default: 1 s.
	QueueTimeout time.Duration
	// WriteTimeout bounds one write. Default: 1 s.
	WriteTimeout time.Duration
	// ReadTimeout bounds the time between two replies, and between a request and its
	// reply if nothing else is in flight. It is checked in steps of a quarter.
	// Default: 1 s.
	ReadTimeout time.Duration
	// BackoffMin and BackoffMax bound the time for which a failed server is not tried
	// again. It doubles with each consecutive failure and is shortened at random by up
	// to a half. Default: 50 ms and 5 s.
	BackoffMin, BackoffMax time.Duration

	// Failover is the policy for servers that cannot be reached. Default: FailError.
	Failover Failover
	// Gutter lists the servers of FailGutter, in the syntax of New.
	Gutter []string
	// GutterTTL is the longest TTL of an item in the gutter. Default: 10 s.
	GutterTTL time.Duration

	// EncodeKeys allows keys of up to 186 bytes of any kind. Keys that the protocol
	// cannot carry are sent in base64 (flag b of meta commands) and stored as they are.
	// Such a key is ErrMalformedKey on a server without meta commands.
	EncodeKeys bool
	// MaxItemSize is the largest value in bytes that is sent or accepted, at most
	// 1 GiB. Default: 128 MiB.
	MaxItemSize int

	// Dial makes connections; network is "tcp" or "unix". Default: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS, if not nil, encrypts TCP connections. ServerName defaults to the server's
	// host. Certificates are for servers that verify clients.
	TLS *tls.Config
	// Username and Password authenticate as memcached -Y requires.
	Username, Password string

	// Resolver resolves host names. Default: net.DefaultResolver.
	Resolver discovery.Resolver
	// ResolveEvery is the interval at which host names are resolved again. Connections
	// to addresses that are gone end after their replies. Negative: never.
	// Default: 30 s.
	ResolveEvery time.Duration

	// Hooks are called for each event.
	Hooks Hooks
}

// withDefaults returns a copy of o with every default filled in, or an error for an
// invalid field.
func (o *Options) withDefaults() (*Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Gutter = append([]string(nil), c.Gutter...)
	if c.Selector == nil {
		c.Selector = placement.Rendezvous()
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
		return nil, fmt.Errorf("memcache: Options.Protocol is %d, expected 0 to %d", c.Protocol, ProtocolClassic)
	}
	if c.Failover < FailError || c.Failover > FailGutter {
		return nil, fmt.Errorf("memcache: Options.Failover is %d, expected 0 to %d", c.Failover, FailGutter)
	}
	if c.Failover == FailGutter && len(c.Gutter) == 0 {
		return nil, fmt.Errorf("memcache: Options.Gutter is empty, FailGutter needs a server")
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

// dialer returns a Dialer for a server.
func (o *Options) dialer(s placement.Server) *pipeline.Dialer {
	return &pipeline.Dialer{
		Host: s.Host, Port: s.Port, Path: s.Path,
		Dial: o.Dial, Resolver: o.Resolver, TLS: o.TLS, Username: o.Username, Password: o.Password,
		Protocol: pipeline.Protocol(o.Protocol), EncodeKeys: o.EncodeKeys,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		MaxItemSize: o.MaxItemSize,
	}
}
