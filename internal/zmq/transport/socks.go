package transport

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/net/proxy"

	"lintel.dev/internal/zmq/address"
)

// Proxy is a SOCKS5 proxy (RFC 1928), with a user name and password
// (RFC 1929) if it has one.
type Proxy struct {
	Address            string // host:port
	Username, Password string
}

// DialSOCKS connects to e through a proxy, which looks the name up.
func DialSOCKS(ctx context.Context, e Endpoint, o Options, p Proxy) (net.Conn, error) {
	var auth *proxy.Auth
	if p.Username != "" {
		auth = &proxy.Auth{User: p.Username, Password: p.Password}
	}
	forward := &toProxy{source: e.Source, o: o}
	d, err := proxy.SOCKS5("tcp", p.Address, auth, forward)
	if err != nil {
		return nil, fmt.Errorf("SOCKS proxy %s: %w", p.Address, err)
	}
	host, port, err := address.Split(e.Address)
	if err != nil {
		return nil, err
	}
	if _, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port)); err != nil {
		return nil, fmt.Errorf("SOCKS proxy %s: %w", p.Address, err)
	}
	// The connection itself, not its wrapper, has a descriptor for raw I/O.
	return forward.conn, nil
}

// toProxy dials the proxy with the options of the socket and keeps the connection.
type toProxy struct {
	source string
	o      Options
	conn   net.Conn
}

func (d *toProxy) Dial(network, to string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, to)
}

func (d *toProxy) DialContext(ctx context.Context, _, to string) (net.Conn, error) {
	var err error
	d.conn, err = dialStream(ctx, Endpoint{Scheme: "tcp", Address: to, Source: d.source}, d.o)
	return d.conn, err
}
