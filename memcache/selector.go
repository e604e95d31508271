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
//	libmemcached-ketama[:HASH]   the same, consistent and without weights
//	ketama                weighted: libmemcached, pylibmc, php-memcached
//	twemproxy[:HASH]      twemproxy's ketama distribution
//	twemproxy-modula[:HASH]      twemproxy's modula distribution
//	spymemcached          spymemcached's default
//	spymemcached-ketama   spymemcached's ketama locator
//	dalli                 Dalli
//	memcached-proxy       the proxy in memcached, as its pools are by default
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
	if hasArg && !rule.hashes {
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
	make   func(arg string) (Selector, error)
	hashes bool
}

// placements is filled in once, here and nowhere else.
var placements = map[string]rule{
	"rendezvous": {make: func(string) (Selector, error) { return Rendezvous(), nil }},
}

// selectorFunc is a Selector of one function.
type selectorFunc func([]Server) (Picker, error)

func (f selectorFunc) Place(servers []Server) (Picker, error) { return f(servers) }
