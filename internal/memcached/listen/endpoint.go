package listen

import (
	"fmt"
	"strconv"
	"strings"
)

// Endpoint is an address to listen on, in the form of memcached's flag -l.
type Endpoint struct {
	Host     string  // name or address; empty is every address of the machine
	Port     int     // 0 is any free port
	TLS      TLSMode // whether the endpoint uses TLS
	Protocol string  // ascii, binary or auto-negotiate; empty is the server's
	Tag      string
}

// TLSMode is how an endpoint uses TLS.
type TLSMode int

// The modes.
const (
	TLSConfigured TLSMode = iota // as configured for the server
	TLSNone                      // notls: no TLS
	TLSBasic                     // btls: clients need no certificate
	TLSMutual                    // mtls: clients need a certificate
)

// Parse reads HOST, HOST:PORT, [IPV6]:PORT or an IPv6 address. Any of the
// prefixes notls: btls: mtls: proto[ascii|binary|negotiating]: tag[NAME]: and
// tag_NAME_: may precede it. port is used if text has no port.
func Parse(text string, port int) (Endpoint, error) {
	e := Endpoint{Port: port}
	rest := text
	bad := func(what string) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("listen address %q: %s", text, what)
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
					e.Protocol = "ascii"
				case "binary":
					e.Protocol = "binary"
				case "negotiating":
					e.Protocol = "auto-negotiate"
				default:
					return bad("expected proto[ascii], proto[binary] or proto[negotiating]")
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
			return bad("expected [IPV6]:PORT")
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
			return bad("expected a port of 0 to 65535")
		}
		e.Port = int(n)
	}
	if host == "*" {
		host = ""
	}
	e.Host = host
	return e, nil
}
