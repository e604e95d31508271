package shards

import (
	"crypto/md5"
	"encoding/binary"
	"hash/fnv"

	"lintel.dev/memcache"
)

// scheme is one way of dealing keys to servers.
type scheme struct {
	name     string
	selector memcache.Selector
}

// schemes lists the ways in the order in which they are shown: three that
// look only at how many servers there are, and three whose concern is what
// happens when that number changes.
func schemes() ([]scheme, error) {
	all := []scheme{
		{"first letter", byCount(firstLetter)},
		{"hash", byCount(byHash)},
		{"md5", byCount(byMD5)},
	}
	for _, public := range []struct{ name, placement string }{
		{"ketama", "ketama"},
		{"rendezvous", "rendezvous"},
		{"jump", "dskit"},
	} {
		selector, err := memcache.Placement(public.placement)
		if err != nil {
			return nil, err
		}
		all = append(all, scheme{public.name, byName{selector}})
	}
	return all, nil
}

// byName places by the names of the servers alone: embedded ones get whatever
// port is free, and the shares must not change with it.
type byName struct{ memcache.Selector }

func (b byName) Place(servers []memcache.Server) (memcache.Picker, error) {
	named := make([]memcache.Server, len(servers))
	for i, s := range servers {
		named[i] = memcache.Server{Host: s.Name, Port: memcache.DefaultPort, Weight: s.Weight, Name: s.Name}
	}
	return b.Selector.Place(named)
}

// byCount is a Selector that only wants to know how many servers there are.
type byCount func(key string, servers int) int

func (f byCount) Place(servers []memcache.Server) (memcache.Picker, error) {
	return counted{f, len(servers)}, nil
}

type counted struct {
	place   byCount
	servers int
}

func (c counted) Pick(key string, dead func(int) bool) int {
	i := c.place(key, c.servers)
	if dead != nil && dead(i) {
		return -1
	}
	return i
}

// firstLetter deals the alphabet in equal parts: with four servers a-f, g-m,
// n-s and t-z. What comes before a goes to the first server, what comes after
// z to the last.
func firstLetter(key string, servers int) int {
	c := key[0]
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	letter := min(max(int(c)-'a', 0), 25)
	return (letter*servers + servers - 1) / 26
}

// byHash takes a plain hash modulo the number of servers.
func byHash(key string, servers int) int {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(servers))
}

// byMD5 does the same with a hash that any language has.
func byMD5(key string, servers int) int {
	sum := md5.Sum([]byte(key))
	return int(binary.BigEndian.Uint64(sum[8:]) % uint64(servers))
}
