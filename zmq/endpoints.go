package zmq

import "sync"

// endpoints are the endpoints of a socket.
type endpoints struct {
	mu sync.Mutex // taken before all other locks of a socket
	// The fields below are protected by mu.
	open    map[*Endpoint]struct{}
	ending  map[*Endpoint]struct{} // closed, and their messages linger
	last    string                 // address of the last Bind or Connect
	closing bool                   // the socket is being closed

	closed chan struct{} // closed when Close has ended
}

func newEndpoints() endpoints {
	return endpoints{
		open:   make(map[*Endpoint]struct{}),
		ending: make(map[*Endpoint]struct{}),
		closed: make(chan struct{}),
	}
}

// add adds a new endpoint, and counts its beginning in wg, so that Close waits
// until the caller has called Done. It returns ErrClosed when the socket is being
// closed.
func (x *endpoints) add(e *Endpoint, wg *sync.WaitGroup) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing {
		return ErrClosed
	}
	x.open[e] = struct{}{}
	x.last = e.addr
	wg.Add(1)
	return nil
}

// remove removes an endpoint that could not be used.
func (x *endpoints) remove(e *Endpoint) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, e)
}

// connected returns the endpoint that is connected to what Connect was given, or
// nil. One that stopped reconnecting does not count.
func (x *endpoints) connected(given string) *Endpoint {
	x.mu.Lock()
	defer x.mu.Unlock()
	for e := range x.open {
		if !e.bound && e.given == given && !e.ended.Load() {
			return e
		}
	}
	return nil
}

// lastAddr returns the address of the last Bind or Connect.
func (x *endpoints) lastAddr() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last
}

// beginEnd marks an endpoint as ending and counts it in wg. It reports false
// when the endpoint, or the socket, is closed already.
func (x *endpoints) beginEnd(e *Endpoint, wg *sync.WaitGroup) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.open[e]; !ok || x.closing {
		return false
	}
	delete(x.open, e)
	x.ending[e] = struct{}{}
	wg.Add(1)
	return true
}

// ended notes that the messages of an endpoint do not linger any more.
func (x *endpoints) ended(e *Endpoint) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.ending, e)
}

// beginClose refuses new endpoints and returns those that are there. It reports
// false when it was called before.
func (x *endpoints) beginClose() (open, ending []*Endpoint, first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing {
		return nil, nil, false
	}
	x.closing = true
	for e := range x.open {
		open = append(open, e)
	}
	for e := range x.ending {
		ending = append(ending, e)
	}
	return open, ending, true
}

// isClosing reports whether the socket is being closed.
func (x *endpoints) isClosing() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closing
}
