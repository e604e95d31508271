// Package listen opens the sockets of a cache server: TCP, TLS and UDP by
// addresses in the form of memcached's flag -l, and unix sockets.
//
// [Parse] reads an address, [Endpoint.Listen] and [Endpoint.ListenPacket] open
// it, [Unix] opens a unix socket. [TLS] holds certificates that can be read
// again while listeners use them.
package listen

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Listen opens a listener for every address of e's host. It fails if none of
// them can be opened. backlog bounds the connections that wait to be accepted;
// 0 is the system's bound. A nil t means no TLS.
func (e Endpoint) Listen(ctx context.Context, backlog int, t *TLS) ([]net.Listener, error) {
	if t == nil && e.TLS != TLSConfigured {
		return nil, errNoTLS
	}
	all, err := each(ctx, e, "tcp", func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err == nil {
			err = setBacklog(l, backlog)
		}
		return l, err
	}, func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port })
	if err != nil {
		return nil, err
	}
	if t != nil && e.TLS != TLSNone {
		for i, l := range all {
			all[i] = e.behind(t, l)
		}
	}
	return all, nil
}

// addresses resolves e's host.
func (e Endpoint) addresses(ctx context.Context) ([]string, error) {
	if e.Host == "" || net.ParseIP(e.Host) != nil || strings.Contains(e.Host, "%") {
		return []string{e.Host}, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, e.Host)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return found, nil
}

// family returns the network for host. An address listens on its own family only, as
// in memcached: without the 4 or 6, net.Listen would serve both families at 0.0.0.0
// and at [::].
func family(network, host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return network
	case ip.To4() != nil:
		return network + "4"
	}
	return network + "6"
}

// behind returns l with TLS in the mode of e.
func (e Endpoint) behind(t *TLS, l net.Listener) net.Listener {
	switch e.TLS {
	case TLSBasic:
		return t.listener(l, pickBasic)
	case TLSMutual:
		return t.listener(l, pickMutual)
	}
	return t.Listener(l)
}

// ListenPacket opens a UDP socket for every address of e's host. It fails if
// none of them can be opened.
func (e Endpoint) ListenPacket(ctx context.Context) ([]net.PacketConn, error) {
	return each(ctx, e, "udp", net.ListenPacket, func(p net.PacketConn) int { return p.LocalAddr().(*net.UDPAddr).Port })
}

// each opens a socket for every address of e's host, on one port. It fails if
// none of them can be opened. Without a host, one socket serves IPv6 and IPv4; if
// the port is in use on some address, each family is tried, as memcached does.
func each[S any](ctx context.Context, e Endpoint, network string, open func(network, address string) (S, error), port func(S) int) ([]S, error) {
	hosts, err := e.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var all []S
	var errs []error
	try := func(network, host string) {
		n := e.Port
		if n == 0 && len(all) > 0 {
			n = port(all[0])
		}
		if s, err := open(network, net.JoinHostPort(host, strconv.Itoa(n))); err != nil {
			errs = append(errs, err)
		} else {
			all = append(all, s)
		}
	}
	for _, host := range hosts {
		try(family(network, host), host)
	}
	if len(all) == 0 && e.Host == "" && inUse(errs[0]) {
		try(network+"4", "0.0.0.0")
		try(network+"6", "::")
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("listen: %w", errs[0])
	}
	return all, nil
}
