// Package transport dials and listens by the scheme of an endpoint, as libzmq
// spells them: tcp, ipc, ws, wss and vsock; inproc and the multicast ones it
// only parses.
package transport

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"lintel.dev/internal/zmq/address"
	"lintel.dev/internal/zmq/epgm"
)

// Endpoint is a parsed endpoint.
type Endpoint struct {
	Scheme string // one of Schemes
	// Address is what follows the scheme: host:port, path or name.
	Address string
	// Source, if not empty, is the host:port to connect from (tcp).
	Source string
	// Path, if not empty, is what follows the host and port (ws, wss). It
	// starts with a slash.
	Path string
}

// Schemes are the transports that Parse knows.
const Schemes = "tcp, ipc, inproc, ws, wss, vsock, udp, epgm or pgm"

// Group reports whether the transport sends to a group or an address instead of
// a connected peer.
func (e Endpoint) Group() bool {
	return e.Scheme == "udp" || e.Scheme == "epgm" || e.Scheme == "pgm"
}

// maxPath is the longest path of a unix socket, in octets: sun_path without its
// NUL.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// Errors of Parse to test for with errors.Is.
var (
	ErrUnknown     = errors.New("no transport")
	ErrPathTooLong = errors.New("path too long")
)

// Parse reads an endpoint. bind allows what only a listener can use:
// wildcards.
func Parse(s string, bind bool) (Endpoint, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("endpoint %q has no scheme, expected one such as tcp://, ipc:// or inproc://", s)
	}
	e := Endpoint{Scheme: scheme, Address: rest}
	switch scheme {
	case "inproc":
		if rest == "" || len(rest) > 255 {
			return e, fmt.Errorf("endpoint %q: name of %d octets, expected 1 to 255", s, len(rest))
		}
	case "ipc":
		if rest == "" || rest == "@" {
			return e, fmt.Errorf("endpoint %q has no path", s)
		}
		if rest == "*" && !bind {
			return e, fmt.Errorf("endpoint %q: only Bind can choose a path", s)
		}
		if len(rest) > maxPath {
			return e, fmt.Errorf("endpoint %q: %w: %d octets, expected at most %d", s, ErrPathTooLong, len(rest), maxPath)
		}
	case "tcp":
		if src, dst, ok := strings.Cut(rest, ";"); ok {
			if bind {
				return e, fmt.Errorf("endpoint %q: only Connect has a source address", s)
			}
			if err := checkTCP(src, true); err != nil {
				return e, fmt.Errorf("endpoint %q: source: %w", s, err)
			}
			e.Source, e.Address = src, dst
		}
		if err := checkTCP(e.Address, bind); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
	case "ws", "wss":
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			e.Address, e.Path = rest[:i], rest[i:]
		}
		if err := checkPath(e.Path); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
		if err := checkTCP(e.Address, bind); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
	case "vsock":
		if _, err := parseVSOCK(rest, bind); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
	case "tipc":
		// No socket type supports the transport, so the rest is not checked.
	case "udp":
		to := rest
		if _, after, ok := strings.Cut(rest, ";"); ok {
			to = after
		}
		if err := checkTCP(to, bind); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
	case "epgm", "pgm":
		if _, err := epgm.Parse(rest); err != nil {
			return e, fmt.Errorf("endpoint %q: %w", s, err)
		}
	default:
		return e, fmt.Errorf("endpoint %q: %w %q, expected %s", s, ErrUnknown, scheme, Schemes)
	}
	return e, nil
}

func checkTCP(hostport string, bind bool) error {
	host, port, err := address.Split(hostport)
	if err != nil {
		return err
	}
	if host == "" {
		return fmt.Errorf("no host, expected host:port")
	}
	if host == "*" && !bind {
		return fmt.Errorf("host *, expected a name or an address")
	}
	if !bind && strings.ContainsAny(host, " \t\r\n") { // an interface to bind may have a space in its name
		return fmt.Errorf("host %q contains a space", host)
	}
	if port == "*" && bind {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !bind {
		return fmt.Errorf("port %q, expected a number from 1 to 65535", port)
	}
	return nil
}

// checkPath checks what an HTTP request asks for: a path and maybe a query.
func checkPath(path string) error {
	if strings.ContainsRune(path, '#') {
		return fmt.Errorf("path %q has a fragment, which clients do not send", path)
	}
	_, err := url.Parse("//host" + path)
	return err
}

// String is the endpoint as Parse reads it.
func (e Endpoint) String() string {
	if e.Source != "" {
		return e.Scheme + "://" + e.Source + ";" + e.Address
	}
	return e.Scheme + "://" + e.Address + e.Path
}
