// Package listen opens the sockets of a cache server: TCP, TLS and UDP by
// addresses in the form of memcached's flag -l, and unix sockets.
//
// [Parse] reads an address, [Endpoint.Listen] and [Endpoint.ListenPacket] open
// it, [Unix] opens a unix socket. [TLS] holds certificates that can be read
// again while listeners use them.
package listen

import (
	"context"
	"errors"
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
	hosts, err := e.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var all []net.Listener
	var errs []error
	for _, host := range hosts {
		port := e.Port
		if port == 0 && len(all) > 0 { // one port for all addresses
			port = all[0].Addr().(*net.TCPAddr).Port
		}
		l, err := net.Listen(family("tcp", host), net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			err = setBacklog(l, backlog)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("listen: %w", errors.Join(errs...))
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

// family returns the network for host. An IPv4 host needs an IPv4 network:
// net.Listen("tcp", "0.0.0.0:0") would also listen on IPv6.
func family(network, host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		return network + "4"
	}
	return network
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
	hosts, err := e.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var all []net.PacketConn
	var errs []error
	for _, host := range hosts {
		port := e.Port
		if port == 0 && len(all) > 0 {
			port = all[0].LocalAddr().(*net.UDPAddr).Port
		}
		p, err := net.ListenPacket(family("udp", host), net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("listen: %w", errors.Join(errs...))
	}
	return all, nil
}
