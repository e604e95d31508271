package placement

import (
	"cmp"
	"hash/crc32"
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// modulo places a key on entry hash%len of a list of servers.
type modulo struct {
	hash keyHash
	list []int
}

func (m *modulo) Pick(key string, _ func(int) bool) int {
	return m.list[m.hash(key)%uint32(len(m.list))]
}

// expand returns a list with each server's index as often as its weight.
func expand(servers []Server) []int {
	var list []int
	for i, s := range servers {
		for range s.Weight {
			list = append(list, i)
		}
	}
	return list
}

// placeModulo is gomemcache's placement. Weights stand for repeated servers.
func placeModulo(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		return &modulo{hash: h, list: expand(servers)}, nil
	})
}

// placeModula is libmemcached's modula, which ignores weights.
func placeModula(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		list := make([]int, len(servers))
		for i := range list {
			list[i] = i
		}
		return &modulo{hash: h, list: list}, nil
	})
}

// placeTwemproxyModula is twemproxy's modula, which sorts the servers by the length
// of their names and then by name.
func placeTwemproxyModula(h keyHash) Selector {
	return ejecting(func(servers []Server) (Picker, error) {
		list := expand(servers)
		slices.SortStableFunc(list, func(a, b int) int {
			x, y := twemproxyName(servers[a]), twemproxyName(servers[b])
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
		})
		return &modulo{hash: h, list: list}, nil
	})
}

// probing is python-memcached's placement: modulo. If the server is dead, it
// hashes the previous hash with the attempt number.
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

// stepping is spymemcached's default: modulo. If the server is dead, it tries the
// next in the list.
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

// placeDskit is Grafana dskit's: jump over the servers in natural order.
func placeDskit(servers []Server) (Picker, error) {
	list := expand(servers)
	sort.SliceStable(list, func(i, j int) bool { return naturalLess(servers[list[i]].Addr(), servers[list[j]].Addr()) })
	return &jumping{hash: xxhash.Sum64String, list: list}, nil
}

// placeProxy is the default of memcached's proxy: jump over the servers in the
// given order.
func placeProxy(servers []Server) (Picker, error) {
	return &jumping{hash: xxh3, list: expand(servers)}, nil
}

// naturalLess is the order of facette/natsort, which dskit uses. Two runs of digits
// compare as numbers, all other runs as text.
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

// cutRun splits s after its first run of digits or of other characters.
func cutRun(s string) (run, rest string) {
	digit := func(i int) bool { return '0' <= s[i] && s[i] <= '9' }
	n := 1
	for n < len(s) && digit(n) == digit(0) {
		n++
	}
	return s[:n], s[n:]
}
