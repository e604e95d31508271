package zmq4

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"log"
	"net/netip"
	"sync"
)

// CURVE_ALLOW_ANY is the key of AuthCurveAdd that allows all keys.
const CURVE_ALLOW_ANY = "*"

// anyDomain is the domain whose rules apply to all.
const anyDomain = "*"

// metadataHandler returns the metadata of a peer that is let in.
type metadataHandler = func(version, request_id, domain, address, identity, mechanism string, credentials ...string) (metadata map[string]string)

// authenticator has the rules of the Auth functions.
type authenticator struct {
	mu sync.Mutex
	// The fields below are protected by mu. The keys of maps are domains.
	allow, deny map[string][]netip.Prefix
	users       map[string]map[string]string // passwords by user name
	keys        map[string]map[string]bool   // public keys in Z85
	metadata    metadataHandler
	verbose     bool
	server      *zapServer // nil: not started
}

var auth = authenticator{
	allow: make(map[string][]netip.Prefix),
	deny:  make(map[string][]netip.Prefix),
	users: make(map[string]map[string]string),
	keys:  make(map[string]map[string]bool),
}

// AuthAllow allows peers with one of the addresses, which may be networks in CIDR
// notation, to connect to sockets of a ZAP domain; all others are refused. Domain
// "*" stands for all. PLAIN and CURVE need a user or key besides. If domain is an
// address, it is the first of the addresses, for all domains.
func AuthAllow(domain string, addresses ...string) { auth.add(auth.allow, domain, addresses) }

// AuthDeny refuses peers with one of the addresses. It has no effect in a domain
// with an AuthAllow. The arguments are those of AuthAllow.
func AuthDeny(domain string, addresses ...string) { auth.add(auth.deny, domain, addresses) }

func (a *authenticator) add(to map[string][]netip.Prefix, domain string, addresses []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, err := parsePrefix(domain); err == nil {
		domain = anyDomain
		to[domain] = append(to[domain], p)
	}
	for _, text := range addresses {
		p, err := parsePrefix(text)
		if err != nil {
			a.trace("domain %q: %q, expected an IP address or network", domain, text)
			continue
		}
		to[domain] = append(to[domain], p)
	}
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// AuthPlainAdd adds a user of PLAIN in a ZAP domain, "*" for all.
func AuthPlainAdd(domain, username, password string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	if auth.users[domain] == nil {
		auth.users[domain] = make(map[string]string)
	}
	auth.users[domain][username] = password
}

// AuthPlainRemove removes users of PLAIN from a ZAP domain.
func AuthPlainRemove(domain string, usernames ...string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	for _, u := range usernames {
		delete(auth.users[domain], u)
	}
}

// AuthPlainRemoveAll removes all users of PLAIN from a ZAP domain.
func AuthPlainRemoveAll(domain string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	delete(auth.users, domain)
}

// AuthCurveAdd allows clients with one of the public keys, in Z85, in a ZAP
// domain, "*" for all. CURVE_ALLOW_ANY stands for all keys.
func AuthCurveAdd(domain string, pubkeys ...string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	if auth.keys[domain] == nil {
		auth.keys[domain] = make(map[string]bool)
	}
	for _, k := range pubkeys {
		auth.keys[domain][k] = true
	}
}

// AuthCurveRemove removes public keys from a ZAP domain.
func AuthCurveRemove(domain string, pubkeys ...string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	for _, k := range pubkeys {
		delete(auth.keys[domain], k)
	}
}

// AuthCurveRemoveAll removes all public keys from a ZAP domain.
func AuthCurveRemoveAll(domain string) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	delete(auth.keys, domain)
}

// AuthSetVerbose sets whether the log package gets a line for each decision.
// Passwords are not logged.
func AuthSetVerbose(verbose bool) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	auth.verbose = verbose
}

// AuthSetMetadataHandler sets a function that returns the metadata of a peer that
// is let in. User-Id becomes the user id of ZAP; the others are added to the
// metadata of messages. The arguments are the frames of the ZAP request (RFC 27).
func AuthSetMetadataHandler(
	handler func(version, request_id, domain, address, identity, mechanism string, credentials ...string) (metadata map[string]string),
) {
	auth.mu.Lock()
	defer auth.mu.Unlock()
	auth.metadata = handler
}

// AuthMetaBlob encodes a property as the metadata of ZAP has it. A key may have
// 255 octets.
func AuthMetaBlob(key, value string) (blob []byte, err error) {
	if len(key) > 255 {
		return []byte{}, fmt.Errorf("zmq4: metadata key of %d octets, expected at most 255", len(key))
	}
	blob = append([]byte{byte(len(key))}, key...)
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(value)))
	return append(blob, value...), nil
}

// admits decides about a peer. credentials are those of the mechanism: name and
// password, or a public key in Z85. mu is held.
func (a *authenticator) admits(domain, address, mechanism string, credentials []string) bool {
	if !a.admitsAddress(domain, address) {
		a.trace("refused: domain %q, address %q", domain, address)
		return false
	}
	ok := false
	switch {
	case mechanism == "NULL":
		ok = true
	case mechanism == "PLAIN" && len(credentials) == 2:
		ok = a.admitsUser(domain, credentials[0], credentials[1])
	case mechanism == "CURVE" && len(credentials) == 1:
		ok = a.admitsKey(domain, credentials[0])
	}
	a.trace("%v by %s: domain %q, address %q", map[bool]string{true: "accepted", false: "refused"}[ok], mechanism, domain, address)
	return ok
}

func (a *authenticator) admitsAddress(domain, address string) bool {
	addr, err := netip.ParseAddr(address)
	listed := func(in map[string][]netip.Prefix) (found, rules bool) {
		for _, d := range []string{domain, anyDomain} {
			for _, p := range in[d] {
				rules = true
				found = found || err == nil && p.Contains(addr.Unmap().WithZone(""))
			}
		}
		return found, rules
	}
	if found, rules := listed(a.allow); rules {
		return found
	}
	found, _ := listed(a.deny)
	return !found
}

func (a *authenticator) admitsUser(domain, name, password string) bool {
	for _, d := range []string{domain, anyDomain} {
		if want, ok := a.users[d][name]; ok && subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1 {
			return true
		}
	}
	return false
}

func (a *authenticator) admitsKey(domain, key string) bool {
	for _, d := range []string{domain, anyDomain} {
		if a.keys[d][key] || a.keys[d][CURVE_ALLOW_ANY] {
			return true
		}
	}
	return false
}

// trace logs a line if AuthSetVerbose says so. mu is held.
func (a *authenticator) trace(format string, args ...any) {
	if a.verbose {
		log.Printf("AUTH: "+format, args...)
	}
}
