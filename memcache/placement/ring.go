package placement

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// point is one point of a server on a ring.
type point struct {
	at     uint32
	server int32
}

// ring is a consistent hash. A key belongs to the server of the first point at or
// after the key's hash, or of the first point if there is none.
type ring struct {
	hash   keyHash
	points []point
}

func newRing(h keyHash, points []point) (*ring, error) {
	if len(points) == 0 {
		return nil, fmt.Errorf("placement: the ring has no points, the weights differ too much")
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return &ring{hash: h, points: points}, nil
}

// after returns the index of the first point at or after h, or len.
func (r *ring) after(h uint32) int {
	lo, hi := 0, len(r.points)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r.points[mid].at < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (r *ring) lookup(h uint32) int {
	i := r.after(h)
	if i == len(r.points) {
		i = 0
	}
	return int(r.points[i].server)
}

func (r *ring) Pick(key string, _ func(int) bool) int { return r.lookup(r.hash(key)) }

// md5Points appends the four points of one md5 sum.
func md5Points(points []point, name string, server int) []point {
	sum := md5.Sum([]byte(name))
	for k := 0; k < len(sum); k += 4 {
		points = append(points, point{binary.LittleEndian.Uint32(sum[k:]), int32(server)})
	}
	return points
}

// shortName is libmemcached's name of a server on a ring. The default port is
// left out. For a unix socket PHP uses the path and pylibmc the path with ":0";
// configure the latter as the server's Name.
func shortName(s Server) string {
	switch {
	case s.Path != "" && s.Name != "":
		return s.Name
	case s.Path != "":
		return s.Path
	case s.Port == DefaultPort:
		return s.Host
	}
	return s.Host + ":" + strconv.Itoa(s.Port)
}

// longName is "host:port" without brackets, or the path of a unix socket.
func longName(s Server) string {
	if s.Path != "" {
		return s.Path
	}
	return s.Host + ":" + strconv.Itoa(s.Port)
}

// sums returns the number of md5 sums, of four points each, for each server of a
// weighted ring. The original computes in C floats; each step rounds as it does.
func sums(servers []Server) []int {
	total := 0
	for _, s := range servers {
		total += s.Weight
	}
	out := make([]int, len(servers))
	for i, s := range servers {
		x := float32(float32(s.Weight) / float32(total))
		x = float32(x * 160)
		x = float32(x / 4)
		x = float32(x * float32(len(servers)))
		out[i] = int(math.Floor(float64(float32(float64(x) + 1e-10))))
	}
	return out
}

// placeKetama is the weighted ketama of libmemcached and twemproxy.
func placeKetama(h keyHash, name func(Server) string) func([]Server) (Picker, error) {
	return func(servers []Server) (Picker, error) {
		var points []point
		for i, n := range sums(servers) {
			for j := range n {
				points = md5Points(points, name(servers[i])+"-"+strconv.Itoa(j), i)
			}
		}
		return newRing(h, points)
	}
}

// placeConsistent is libmemcached's ketama: 100 points a server, computed with the
// hash of the keys. If any weight is above 1, it is the weighted ketama with that
// hash for keys.
func placeConsistent(h keyHash) Selector {
	equal := ejecting(func(servers []Server) (Picker, error) {
		var points []point
		for i, s := range servers {
			for j := range 100 {
				points = append(points, point{h(shortName(s) + "-" + strconv.Itoa(j)), int32(i)})
			}
		}
		return newRing(h, points)
	})
	weighted := ejecting(placeKetama(h, shortName))
	return selectorFunc(func(servers []Server) (Picker, error) {
		for _, s := range servers {
			if s.Weight > 1 {
				return weighted.Place(servers)
			}
		}
		return equal.Place(servers)
	})
}

// twemproxyName is the alias if there is one. Otherwise the default port is left
// out, and the path of a unix socket is followed by a colon.
func twemproxyName(s Server) string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Path != "":
		return s.Path + ":"
	}
	return shortName(s)
}

// tagged hashes the part of the key between the two characters of tag, or the
// whole key if that part is missing or empty.
func tagged(h keyHash, tag string) keyHash {
	return func(key string) uint32 {
		for i := 0; i < len(key); i++ {
			if key[i] != tag[0] {
				continue
			}
			for j := i + 1; j < len(key); j++ {
				if key[j] == tag[1] {
					if j > i+1 {
						return h(key[i+1 : j])
					}
					break
				}
			}
			break
		}
		return h(key)
	}
}

// placeRingProxy is ring_hash of memcached's proxy in the given mode.
func placeRingProxy(mode string) func([]Server) (Picker, error) {
	return func(servers []Server) (Picker, error) {
		var points []point
		for i, s := range servers {
			name := longName(s)
			switch mode {
			case "twemproxy":
				name = shortName(s)
			case "evcache":
				name = s.Host + "/" + name
			}
			if mode == "ring" {
				for k := range 160 {
					points = append(points, point{uint32(xxh3(name + "-" + strconv.Itoa(k))), int32(i)})
				}
				continue
			}
			for k := range 40 {
				points = md5Points(points, name+"-"+strconv.Itoa(k), i)
			}
		}
		return newRing(func(key string) uint32 { return uint32(xxh3(key)) }, points)
	}
}

// spyRing is spymemcached's ketama locator. If the server is dead, it tries hashes
// of the attempt number and the key, spyTries in total.
type spyRing struct{ *ring }

const spyTries = 7

func (r spyRing) Pick(key string, dead func(int) bool) int {
	h := hashMD5(key)
	i := r.lookup(h)
	if dead == nil {
		return i
	}
	for try := range spyTries {
		if i = r.lookup(h); !dead(i) {
			return i
		}
		h += hashMD5(strconv.Itoa(try) + key)
	}
	return -1
}

// spyName is the socket address as Java prints it, without a leading slash. For a
// host name that is host/ip:port, which must be configured as the server's Name.
func spyName(s Server) string {
	if s.Name != "" {
		return s.Name
	}
	return longName(s)
}

func placeSpyRing(servers []Server) (Picker, error) {
	n := sums(servers)
	if equalWeights(servers) {
		for i := range n {
			n[i] = 40
		}
	}
	var points []point
	for i, s := range servers {
		for j := range n[i] {
			points = md5Points(points, spyName(s)+"-"+strconv.Itoa(j), i)
		}
	}
	r, err := newRing(hashMD5, points)
	if err != nil {
		return nil, err
	}
	// If two servers share a point, it belongs to the later one.
	kept := r.points[:1]
	for _, p := range r.points[1:] {
		if p.at == kept[len(kept)-1].at {
			kept[len(kept)-1] = p
		} else {
			kept = append(kept, p)
		}
	}
	r.points = kept
	return spyRing{r}, nil
}

// dalliRing picks the last point at or below the hash. If the server is dead, it
// tries hashes of the attempt number and the key, dalliTries in total.
type dalliRing struct{ *ring }

const dalliTries = 20

func (r dalliRing) below(h uint32) int {
	i := len(r.points)
	if h != math.MaxUint32 {
		i = r.after(h + 1)
	}
	if i == 0 {
		i = len(r.points)
	}
	return int(r.points[i-1].server)
}

func (r dalliRing) Pick(key string, dead func(int) bool) int {
	i := r.below(hashCRC(key))
	if dead == nil || !dead(i) {
		return i
	}
	for try := range dalliTries - 1 {
		if i = r.below(hashCRC(strconv.Itoa(try) + key)); !dead(i) {
			return i
		}
	}
	return -1
}

func placeDalli(servers []Server) (Picker, error) {
	total := 0
	for _, s := range servers {
		total += s.Weight
	}
	var points []point
	for i, s := range servers {
		n := int(math.Floor(float64(len(servers)*160*s.Weight) / float64(total)))
		for j := range n {
			sum := sha1.Sum([]byte(longName(s) + ":" + strconv.Itoa(j)))
			points = append(points, point{binary.BigEndian.Uint32(sum[:]), int32(i)})
		}
	}
	r, err := newRing(hashCRC, points)
	if err != nil {
		return nil, err
	}
	return dalliRing{r}, nil
}

func equalWeights(servers []Server) bool {
	for _, s := range servers {
		if s.Weight != servers[0].Weight {
			return false
		}
	}
	return true
}

// pyRendezvous is pymemcache's placement: the highest murmur3 of server name and
// key wins, and the greater name among equals.
type pyRendezvous struct{ names []string }

func (p pyRendezvous) Pick(key string, dead func(int) bool) int {
	best, most := -1, uint32(0)
	for i, name := range p.names {
		if dead != nil && dead(i) {
			continue
		}
		var m murmur3State
		m.write(name)
		m.write("-")
		m.writePython(key)
		score := m.sum()
		if best < 0 || score > most || score == most && name > p.names[best] {
			best, most = i, score
		}
	}
	return best
}

func placePymemcache(servers []Server) (Picker, error) {
	var p pyRendezvous
	for _, s := range servers {
		p.names = append(p.names, longName(s))
	}
	return p, nil
}
