package memcache

import (
	"sort"
	"sync"
)

// ejecting completes a rule that knows nothing of dead servers the way
// libmemcached and twemproxy do: it is applied to the live ones.
func ejecting(place func([]Server) (Picker, error)) Selector {
	return selectorFunc(func(servers []Server) (Picker, error) {
		p, err := place(servers)
		if err != nil {
			return nil, err
		}
		return &ejector{Picker: p, servers: servers, place: place, reduced: make(map[string]*reduced)}, nil
	})
}

// ejector remembers the placements over the last sets of live servers.
type ejector struct {
	Picker
	servers []Server
	place   func([]Server) (Picker, error)

	mu      sync.Mutex // protects reduced
	reduced map[string]*reduced
}

type reduced struct {
	picker Picker // nil when none is left
	index  []int  // of the picker's servers in the whole fleet
}

// maxReduced bounds the placements that are remembered.
const maxReduced = 32

func (e *ejector) Pick(key string, dead func(int) bool) int {
	i := e.Picker.Pick(key, nil)
	if dead == nil {
		return i
	}
	any := false
	live := make([]byte, (len(e.servers)+7)/8)
	for j := range e.servers {
		if dead(j) {
			any = true
		} else {
			live[j/8] |= 1 << (j % 8)
		}
	}
	if !any {
		return i
	}
	r := e.over(live)
	if r.picker == nil {
		return -1
	}
	return r.index[r.picker.Pick(key, nil)]
}

func (e *ejector) over(live []byte) *reduced {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.reduced[string(live)]; r != nil {
		return r
	}
	r := &reduced{}
	var servers []Server
	for j, s := range e.servers {
		if live[j/8]&(1<<(j%8)) != 0 {
			servers = append(servers, s)
			r.index = append(r.index, j)
		}
	}
	if len(servers) > 0 {
		r.picker, _ = e.place(servers)
	}
	if len(e.reduced) >= maxReduced {
		clear(e.reduced)
	}
	e.reduced[string(live)] = r
	return r
}

func stableSort[T any](s []T, less func(a, b T) bool) {
	sort.SliceStable(s, func(i, j int) bool { return less(s[i], s[j]) })
}

func sorted(s []string) []string {
	sort.Strings(s)
	return s
}
