package placement

import "sync"

// ejecting gives a rule without failover that of libmemcached and twemproxy:
// while servers are dead, the rule is applied to the list of the others.
func ejecting(place func([]Server) (Picker, error)) Selector {
	return selectorFunc(func(servers []Server) (Picker, error) {
		p, err := place(servers)
		if err != nil {
			return nil, err
		}
		return &ejector{Picker: p, servers: servers, place: place, reduced: make(map[string]*reduced)}, nil
	})
}

// ejector is the Picker of ejecting. It caches the Pickers of recent sets of live
// servers.
type ejector struct {
	Picker
	servers []Server
	place   func([]Server) (Picker, error)

	mu      sync.Mutex // protects reduced
	reduced map[string]*reduced
}

type reduced struct {
	picker Picker // nil if no server is left
	index  []int  // maps the picker's servers to those of the whole fleet
}

// maxReduced bounds the number of cached Pickers.
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

// over returns the placement over the servers whose bit in live is set.
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
