// Package transport has the interface of the transports of package zmq4, and
// those of package net.
package transport

import (
	"context"
	"fmt"
	"net"
)

// Dialer makes connections. A *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Transport makes the connections and listeners of the endpoints of one scheme.
// Their methods may be called concurrently.
type Transport interface {
	// Dial connects to an address that Addr returned. It may use dialer, which
	// has the timeout of the socket.
	Dial(ctx context.Context, dialer Dialer, addr string) (net.Conn, error)

	// Listen listens at an address that Addr returned.
	Listen(ctx context.Context, addr string) (net.Listener, error)

	// Addr returns the address of an endpoint, given without its scheme.
	Addr(ep string) (addr string, err error)
}

// netTransport is a network of package net.
type netTransport struct{ network string }

// New returns the transport of a network of package net: "tcp", "udp" or
// "unix".
func New(network string) Transport { return netTransport{network} }

func (t netTransport) Dial(ctx context.Context, dialer Dialer, addr string) (net.Conn, error) {
	return dialer.DialContext(ctx, t.network, addr)
}

func (t netTransport) Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, t.network, addr)
}

// Addr returns the path of a "unix" endpoint. Of the others, an empty host and
// "*" are 0.0.0.0, an empty port and "*" are 0.
func (t netTransport) Addr(ep string) (string, error) {
	switch t.network {
	case "unix":
		return ep, nil
	case "tcp", "udp":
		host, port, err := net.SplitHostPort(ep)
		if err != nil {
			return "", err
		}
		if host == "" || host == "*" {
			host = "0.0.0.0"
		}
		if port == "" || port == "*" {
			port = "0"
		}
		return net.JoinHostPort(host, port), nil
	}
	return "", fmt.Errorf("zmq4: network %q: got none of tcp, udp and unix", t.network)
}
