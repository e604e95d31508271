package shards

import (
	"crypto/md5"
	"encoding/binary"
	"hash/fnv"

	"lintel.dev/memcache/placement"
)

// scheme is one placement rule.
type scheme struct {
	name     string
	selector placement.Selector
}

// schemes lists the rules in the order in which they are shown: three that
// depend on the number of servers only, and three consistent ones.
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
		selector, err := placement.New(public.placement)
		if err != nil {
			return nil, err
		}
		all = append(all, scheme{public.name, byName{selector}})
	}
	return all, nil
}

// byName places by the names of the servers and ignores their addresses:
// embedded servers have random ports.
type byName struct{ placement.Selector }

func (b byName) Place(servers []placement.Server) (placement.Picker, error) {
	named := make([]placement.Server, len(servers))
	for i, s := range servers {
		named[i] = placement.Server{Host: s.Name, Port: placement.DefaultPort, Weight: s.Weight, Name: s.Name}
	}
	return b.Selector.Place(named)
}

// byCount is a Selector that depends on the number of servers only.
type byCount func(key string, servers int) int

func (f byCount) Place(servers []placement.Server) (placement.Picker, error) {
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

// firstLetter divides the alphabet into equal parts: with four servers a-f,
// g-m, n-s and t-z. Characters before a belong to the first server, those after
// z to the last.
func firstLetter(key string, servers int) int {
	c := key[0]
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	letter := min(max(int(c)-'a', 0), 25)
	return (letter*servers + servers - 1) / 26
}

// byHash places by 64-bit FNV-1a modulo the number of servers.
func byHash(key string, servers int) int {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(servers))
}

// byMD5 places by the last 8 bytes of MD5 modulo the number of servers.
func byMD5(key string, servers int) int {
	sum := md5.Sum([]byte(key))
	return int(binary.BigEndian.Uint64(sum[8:]) % uint64(servers))
}
