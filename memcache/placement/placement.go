package memcache

import (
	"fmt"
	"sort"
	"strings"
)

// Selector is the first of the two stages that find a value: it takes a key to
// a server, which takes it to the value. A Selector is a rule without servers;
// Place applies it to a fleet.
type Selector interface {
	// Place returns the placement over servers, of which there is at least
	// one. Whether their order matters is the rule's affair.
	Place(servers []Server) (Picker, error)
}

// Picker places keys on the servers it was made for. It is safe for concurrent
// use and, while no server is dead, does not allocate.
type Picker interface {
	// Pick returns the index of the server for key. dead, when not nil, tells
	// servers that are not to be used; -1 means that none is left, or that
	// the rule gives up.
	Pick(key string, dead func(int) bool) int
}

// Placement returns the rule of that name. The names, each bit for bit the
// placement of the client it is named after:
//
//	rendezvous            ours: weighted, on names; the default of New
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
// HASH is one of those that the original offers. After a twemproxy hash may
// follow two characters, as in "twemproxy:fnv1a_64:{}": its hash_tag.
func Placement(name string) (Selector, error) {
	base, arg, hasArg := strings.Cut(name, ":")
	rule, ok := placements[base]
	if !ok {
		return nil, fmt.Errorf("memcache: unknown placement %q, expected one of %s", name, strings.Join(Placements(), ", "))
	}
	if hasArg && !rule.args {
		return nil, fmt.Errorf("memcache: placement %s takes no hash", base)
	}
	return rule.make(arg)
}

// Placements lists the names that Placement takes, without hashes.
func Placements() []string {
	var names []string
	for name := range placements {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

type rule struct {
	make func(arg string) (Selector, error)
	args bool // something may follow the name
}

// placements has the rules by name.
var placements = map[string]rule{
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
		return nil, fmt.Errorf("memcache: memcached-proxy has no distribution %q, expected jump, ring, ketama, twemproxy or evcache", arg)
	}},
	"dskit": plain(ejecting(placeDskit)),
}

func plain(s Selector) rule {
	return rule{make: func(string) (Selector, error) { return s, nil }}
}

// hashed is a rule with a choice of hashes, and in twemproxy's family of a
// hash tag after it.
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
				return nil, fmt.Errorf("memcache: hash tag %q is not two characters", tag)
			}
			h = tagged(h, tag)
		}
		return with(h), nil
	}}
}

// selectorFunc is a Selector of one function.
type selectorFunc func([]Server) (Picker, error)

func (f selectorFunc) Place(servers []Server) (Picker, error) { return f(servers) }
