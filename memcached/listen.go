package memcached

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
)

// Endpoint is an address to listen on, as memcached's -l has it.
type Endpoint struct {
	Host     string   // name or address; empty is every address of the machine
	Port     int      // 0: any free one
	TLS      TLSMode  // whether TLS is spoken, where there is any
	Protocol Protocol // that this endpoint speaks; empty: that of the server
	Tag      string
}

// TLSMode is how an endpoint treats TLS.
type TLSMode int

const (
	TLSConfigured TLSMode = iota // as the server's options say
	TLSNone                      // notls: in the clear
	TLSBasic                     // btls: clients show no certificate
	TLSMutual                    // mtls: clients must show one
)

// ParseEndpoint reads HOST, HOST:PORT, [IPV6]:PORT or an IPv6 address, after
// any of the prefixes notls: btls: mtls: proto[ascii|binary|negotiating]: and
// tag[NAME]: or tag_NAME_:. port is the one where none is given.
func ParseEndpoint(text string, port int) (Endpoint, error) {
	e := Endpoint{Port: port}
	rest := text
	bad := func(what string) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("memcached: listen address %q: %s", text, what)
	}
prefixes:
	for {
		for prefix, mode := range map[string]TLSMode{"notls:": TLSNone, "btls:": TLSBasic, "mtls:": TLSMutual} {
			if after, ok := strings.CutPrefix(rest, prefix); ok {
				e.TLS, rest = mode, after
				continue prefixes
			}
		}
		word, after, ok := strings.Cut(rest, "]:")
		if ok {
			if name, is := strings.CutPrefix(word, "proto["); is {
				switch name {
				case "ascii":
					e.Protocol = ASCII
				case "binary":
					e.Protocol = Binary
				case "negotiating":
					e.Protocol = Auto
				default:
					return bad("want proto[ascii], proto[binary] or proto[negotiating]")
				}
				rest = after
				continue
			}
			if name, is := strings.CutPrefix(word, "tag["); is {
				e.Tag, rest = name, after
				continue
			}
		}
		if after, is := strings.CutPrefix(rest, "tag_"); is {
			if name, after, ok := strings.Cut(after, "_:"); ok {
				e.Tag, rest = name, after
				continue
			}
		}
		break
	}
	host, digits := rest, ""
	switch {
	case strings.HasPrefix(rest, "["):
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok || after != "" && after[0] != ':' {
			return bad("want [IPV6]:PORT")
		}
		host, digits = inside, strings.TrimPrefix(after, ":")
		if after == ":" {
			return bad("no port after the colon")
		}
	case strings.Count(rest, ":") == 1:
		host, digits, _ = strings.Cut(rest, ":")
		if digits == "" {
			return bad("no port after the colon")
		}
	}
	if digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return bad("want a port of 0 to 65535")
		}
		e.Port = int(n)
	}
	if host == "*" {
		host = ""
	}
	e.Host = host
	return e, nil
}

// Listen opens a listener for every address that e's host has, as long as at
// least one can be had. backlog bounds the connections that may wait to be
// accepted; 0 leaves it to the system. t may be nil: then nothing is behind
// TLS.
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
		if port == 0 && len(all) > 0 { // the same one on every address
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
		return nil, fmt.Errorf("memcached: %w", errors.Join(errs...))
	}
	if t != nil && e.TLS != TLSNone {
		for i, l := range all {
			all[i] = e.behind(t, l)
		}
	}
	return all, nil
}

// addresses are those of e's host.
func (e Endpoint) addresses(ctx context.Context) ([]string, error) {
	if e.Host == "" || net.ParseIP(e.Host) != nil || strings.Contains(e.Host, "%") {
		return []string{e.Host}, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, e.Host)
	if err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	return found, nil
}

// family is the network on which host is what it says: 0.0.0.0 alone would be
// every address of either family.
func family(network, host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		return network + "4"
	}
	return network
}

func (e Endpoint) behind(t *TLS, l net.Listener) net.Listener {
	switch e.TLS {
	case TLSBasic:
		return t.listener(l, pickBasic)
	case TLSMutual:
		return t.listener(l, pickMutual)
	}
	return t.Listener(l)
}

// ListenUnix opens a unix socket with the given permissions. A socket file
// that nobody listens on any more is replaced, another file is not. Closing
// the listener removes the file.
func ListenUnix(path string, mode fs.FileMode, backlog int) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: socketMode(mode)}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("memcached: %w", err)
	}
	if err := errors.Join(os.Chmod(path, mode), setBacklog(l, backlog)); err != nil {
		l.Close()
		return nil, fmt.Errorf("memcached: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("memcached: %s is there and not a socket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("memcached: %s: another server listens there", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("memcached: %w", err)
	}
	return nil
}
