// Package ownhost refuses HTTP requests that name a foreign host in Host. It prevents DNS rebinding, by which a page of
// another site that an operator visits resolves its own name to an address of --http and then reads what is served there:
// such a request has the other site's name in Host.
//
// The package has no state.
package ownhost

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// Check refuses requests for a host that is not this one, with status 403. addr is that of --http: its host may be named,
// besides IP addresses, localhost and the name of the machine.
func Check(addr string, next http.HandlerFunc) http.HandlerFunc {
	bound, _, _ := net.SplitHostPort(addr)
	machine, _ := os.Hostname() // without it that name is refused
	return func(w http.ResponseWriter, r *http.Request) {
		if !isOwnHost(r.Host, bound, machine) {
			http.Error(w, "This is not served under this name. Use an IP address, localhost, the name of the machine, or the name that --http is given.",
				http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// isOwnHost reports whether the field Host of a request is an IP address, localhost or a name below it, or one of names.
// A request without Host is not from a browser. A machine called cache1.example is also cache1.
func isOwnHost(host string, names ...string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		short, _, _ := strings.Cut(name, ".")
		if name != "" && (host == name || host == short) {
			return true
		}
	}
	return false
}
