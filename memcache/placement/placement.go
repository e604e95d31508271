package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Selector is a placement rule.
type Selector interface {
	// Place applies the rule to servers, which holds at least one. Rules differ
	// in whether the order of the servers matters.
	Place(servers []Server) (Picker, error)
}

// Picker maps keys to the servers it was made for. It is safe for concurrent
// use. While no server is dead, Pick does not allocate.
type Picker interface {
	// Pick returns the index of the server for key. dead, if not nil, reports
	// whether the server with an index must not be used. Pick returns -1 when
	// no usable server is left, or when the rule stops searching for one.
	Pick(key string, dead func(int) bool) int
}

// New returns the rule with the given name. Each rule but the first places keys
// exactly as the client it is named after:
//
//	rendezvous            weighted rendezvous hashing on server names; the default
//	gomemcache            bradfitz/gomemcache
//	python-memcached      python-memcached, with its probing past dead servers
//	pymemcache            pymemcache HashClient
//	libmemcached[:HASH]   libmemcached's and pylibmc's default
//	libmemcached-ketama[:HASH]   the same, consistent
//	ketama                weighted: libmemcached, pylibmc, php-memcached
//	twemproxy[:HASH]      twemproxy's ketama distribution
//	twemproxy-modula[:HASH]      twemproxy's modula distribution
//	spymemcached          spymemcached's default
//	spymemcached-ketama   spymemcached's ketama locator
//	dalli                 Dalli
//	memcached-proxy[:DIST]       the proxy in memcached: jump (its pools' default),
//	                      or ring, ketama, twemproxy or evcache, the modes of ring_hash
//	dskit                 Grafana dskit: Mimir, Loki, Tempo, Thanos
//
// HASH is a hash function that the original offers. For twemproxy, a hash tag of
// two characters may follow it, as in "twemproxy:fnv1a_64:{}".
func New(name string) (Selector, error) {
	base, arg, hasArg := strings.Cut(name, ":")
	rule, ok := rules[base]
	if !ok {
		return nil, fmt.Errorf("placement: unknown rule %q, expected one of %s", name, strings.Join(Names(), ", "))
	}
	if hasArg && !rule.args {
		return nil, fmt.Errorf("placement: rule %s takes no argument, got %q", base, arg)
	}
	return rule.make(arg)
}

// Names returns the names of the rules in alphabetical order, without arguments.
func Names() []string { return slices.Sorted(maps.Keys(rules)) }

type rule struct {
	make func(arg string) (Selector, error)
	args bool // the name may be followed by a colon and an argument
}

// rules maps names to rules.
var rules = map[string]rule{
	"rendezvous":          plain(Rendezvous()),
	"gomemcache":          plain(placeModulo(hashCRC)),
	"python-memcached":    plain(selectorFunc(func(s []Server) (Picker, error) { return &probing{expand(s)}, nil })),
	"pymemcache":          plain(selectorFunc(placePymemcache)),
	"libmemcached":        hashed("libmemcached", placeModula),
	"libmemcached-ketama": hashed("libmemcached", placeConsistent),
	"ketama":              plain(ejecting(placeKetama(hashMD5, shortName))),
	"twemproxy": hashed("twemproxy", func(h keyHash) Selector {
		return ejecting(placeKetama(h, twemproxyName))
	}),
	"twemproxy-modula":    hashed("twemproxy", placeTwemproxyModula),
	"spymemcached":        plain(selectorFunc(func(s []Server) (Picker, error) { return stepping{len(s)}, nil })),
	"spymemcached-ketama": plain(selectorFunc(placeSpyRing)),
	"dalli":               plain(selectorFunc(placeDalli)),
	"memcached-proxy": {args: true, make: func(arg string) (Selector, error) {
		switch arg {
		case "", "jump":
			return ejecting(placeProxy), nil
		case "ring", "ketama", "twemproxy", "evcache":
			return ejecting(placeRingProxy(arg)), nil
		}
		return nil, fmt.Errorf("placement: memcached-proxy has no distribution %q, expected jump, ring, ketama, twemproxy or evcache", arg)
	}},
	"dskit": plain(ejecting(placeDskit)),
}

func plain(s Selector) rule {
	return rule{make: func(string) (Selector, error) { return s, nil }}
}

// hashed is a rule whose argument names a hash function of family. In twemproxy's
// family a hash tag may follow the function.
func hashed(family string, with func(keyHash) Selector) rule {
	return rule{args: true, make: func(arg string) (Selector, error) {
		name, tag, hasTag := arg, "", false
		if family == "twemproxy" {
			name, tag, hasTag = strings.Cut(arg, ":")
		}
		h, err := findHash(family, name)
		if err != nil {
			return nil, err
		}
		if hasTag {
			if len(tag) != 2 {
				return nil, fmt.Errorf("placement: hash tag %q has %d bytes, expected 2", tag, len(tag))
			}
			h = tagged(h, tag)
		}
		return with(h), nil
	}}
}

// selectorFunc is a function used as a Selector.
type selectorFunc func([]Server) (Picker, error)

func (f selectorFunc) Place(servers []Server) (Picker, error) { return f(servers) }
