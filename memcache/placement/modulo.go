package memcache

import (
	"hash/crc32"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// modulo places a key on entry hash%len of a list in which each server stands
// as often as its weight says.
type modulo struct {
	hash keyHash
	list []int
}

func (m *modulo) Pick(key string, _ func(int) bool) int {
	return m.list[m.hash(key)%uint32(len(m.list))]
}

func expand(servers []Server) []int {
	var list []int
	for i, s := range servers {
		for range s.Weight {
			list = append(list, i)
		}
	}
	return list
}

// placeModulo is gomemcache's placement, where a server that is to have more
// keys stands in the list more than once.
func placeModulo(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		return &modulo{hash: h, list: expand(servers)}, nil
	})
}

// placeModula is libmemcached's modula, to which weights are nothing.
func placeModula(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		list := make([]int, len(servers))
		for i := range list {
			list[i] = i
		}
		return &modulo{hash: h, list: list}, nil
	})
}

// placeTwemproxyModula is twemproxy's modula. It sorts its servers by their
// names, short ones first.
func placeTwemproxyModula(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		list := expand(servers)
		stableSort(list, func(a, b int) bool {
			x, y := twemproxyName(servers[a]), twemproxyName(servers[b])
			if len(x) != len(y) {
				return len(x) < len(y)
			}
			return x < y
		})
		return &modulo{hash: h, list: list}, nil
	})
}

// probing is python-memcached's placement: modulo, and past a dead server a
// new hash of the old one and the number of the attempt.
type probing struct{ list []int }

// probes is python-memcached's _SERVER_RETRIES.
const probes = 10

func (p *probing) Pick(key string, dead func(int) bool) int {
	h := hashPython(view(key))
	i := p.list[h%uint32(len(p.list))]
	if dead == nil {
		return i
	}
	var buf [16]byte
	for try := range probes {
		if i = p.list[h%uint32(len(p.list))]; !dead(i) {
			return i
		}
		b := strconv.AppendUint(buf[:0], uint64(h), 10)
		h = hashPython(strconv.AppendInt(b, int64(try), 10))
	}
	return -1
}

func hashPython(b []byte) uint32 {
	return max(crc32.ChecksumIEEE(b)>>16&0x7fff, 1)
}

// stepping is spymemcached's default: modulo over the servers, and past a dead
// one the next in the list.
type stepping struct{ n int }

func (s stepping) Pick(key string, dead func(int) bool) int {
	at := int(javaHash(key) % uint32(s.n))
	for i := range s.n {
		j := (at + i) % s.n
		if dead == nil || !dead(j) {
			return j
		}
	}
	return -1
}

// jumping is Lamping and Veach's jump consistent hash over a list of servers.
type jumping struct {
	hash func(string) uint64
	list []int
}

func (j *jumping) Pick(key string, _ func(int) bool) int {
	h := j.hash(key)
	b, next := int64(-1), int64(0)
	for next < int64(len(j.list)) {
		b = next
		h = h*2862933555777941757 + 1
		next = int64(float64(b+1) * (float64(int64(1)<<31) / float64(h>>33+1)))
	}
	return j.list[b]
}

// placeDskit is Grafana's: jump over the servers in natural order.
func placeDskit(servers []Server) (Picker, error) {
	list := expand(servers)
	stableSort(list, func(a, b int) bool { return naturalLess(servers[a].Addr(), servers[b].Addr()) })
	return &jumping{hash: xxhash.Sum64String, list: list}, nil
}

// placeProxy is the default of memcached's proxy: jump over the servers as
// they are listed.
func placeProxy(servers []Server) (Picker, error) {
	return &jumping{hash: xxh3, list: expand(servers)}, nil
}

// naturalLess is facette/natsort, by which dskit sorts: runs of digits compare
// by their value, other runs as text, a run of either as text with one of the
// other.
func naturalLess(a, b string) bool {
	for a != "" && b != "" {
		x, restA := cutRun(a)
		y, restB := cutRun(b)
		m, errA := strconv.Atoi(x)
		n, errB := strconv.Atoi(y)
		switch {
		case errA == nil && errB == nil && m != n:
			return m < n
		case (errA != nil || errB != nil) && x != y:
			return x < y
		case restA == "":
			return true
		}
		a, b = restA, restB
	}
	return false
}

// cutRun cuts off the run of digits, or of what is none, that s begins with.
func cutRun(s string) (run, rest string) {
	digit := func(i int) bool { return '0' <= s[i] && s[i] <= '9' }
	n := 1
	for n < len(s) && digit(n) == digit(0) {
		n++
	}
	return s[:n], s[n:]
}
