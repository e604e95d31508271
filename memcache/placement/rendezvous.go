package placement

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// Rendezvous returns the rule "rendezvous": weighted rendezvous hashing (highest
// random weight, scores -w/ln(u)) on the servers' names. The order of the servers
// does not matter. When a server joins or leaves, only the keys that it gains or
// loses move. A key of a dead server goes to the server with the next score.
func Rendezvous() Selector { return selectorFunc(placeRendezvous) }

type rendezvous struct {
	seeds   []uint64
	weights []float64
	equal   bool
}

func placeRendezvous(servers []Server) (Picker, error) {
	r := &rendezvous{equal: true}
	for _, s := range servers {
		r.seeds = append(r.seeds, xxhash.Sum64String(s.stable()))
		r.weights = append(r.weights, float64(s.Weight))
		r.equal = r.equal && s.Weight == servers[0].Weight
	}
	return r, nil
}

// mix64 is the 64-bit finaliser of MurmurHash3.
func mix64(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (r *rendezvous) Pick(key string, dead func(int) bool) int {
	h := xxhash.Sum64String(key)
	best, most, score := -1, uint64(0), math.Inf(-1)
	for i, seed := range r.seeds {
		if dead != nil && dead(i) {
			continue
		}
		draw := mix64(h ^ seed)
		if r.equal {
			if best < 0 || draw > most {
				best, most = i, draw
			}
			continue
		}
		// u is in (0, 1): 53 bits of the draw, and a half so that it is
		// never 0.
		u := (float64(draw>>11) + 0.5) / (1 << 53)
		if s := -r.weights[i] / math.Log(u); best < 0 || s > score {
			best, score = i, s
		}
	}
	return best
}
