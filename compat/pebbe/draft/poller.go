package zmq4

import (
	"slices"
	"time"

	zmq4 "lintel.dev/compat/pebbe"
)

type (
	poller  = zmq4.Poller
	reactor = zmq4.Reactor
)

// Polled is a socket and what it can do, as Poll returns it.
type Polled struct {
	Socket *Socket // the socket
	Events State   // what it can do
}

// Poller waits for several sockets at once. It is for one goroutine at a time.
type Poller struct {
	*poller
	sockets []*Socket // in the order of the poller's items
}

// NewPoller returns a Poller without sockets.
func NewPoller() *Poller { return &Poller{poller: zmq4.NewPoller()} }

// Add adds a socket, which may be added several times. It returns an id: the
// index in the result of PollAll.
func (p *Poller) Add(soc *Socket, events State) int {
	p.sockets = append(p.sockets, soc)
	return p.poller.Add(inner(soc), events)
}

// UpdateBySocket is Update of the first item of a socket.
func (p *Poller) UpdateBySocket(soc *Socket, events State) (previous State, err error) {
	return p.Update(slices.Index(p.sockets, soc), events)
}

// Remove removes an item. The ids of later ones decrease by one. It returns
// ErrorNoSocket for an unknown id.
func (p *Poller) Remove(id int) error {
	if err := p.poller.Remove(id); err != nil {
		return err
	}
	p.sockets = slices.Delete(p.sockets, id, id+1)
	return nil
}

// RemoveBySocket is Remove of the first item of a socket.
func (p *Poller) RemoveBySocket(soc *Socket) error { return p.Remove(slices.Index(p.sockets, soc)) }

// Poll waits until a socket is ready and returns those that are, in the order in
// which they were added. After the timeout, which is truncated to milliseconds,
// it returns none; a negative one is without limit. Without sockets it returns at
// once.
func (p *Poller) Poll(timeout time.Duration) ([]Polled, error) {
	return p.outer(p.poller.Poll(timeout))
}

// PollAll is Poll that returns all sockets, also those without events.
func (p *Poller) PollAll(timeout time.Duration) ([]Polled, error) {
	return p.outer(p.poller.PollAll(timeout))
}

// outer returns the items with the sockets of this package.
func (p *Poller) outer(items []zmq4.Polled, err error) ([]Polled, error) {
	list := make([]Polled, 0, len(items))
	next := 0 // items are in the order of p.sockets
	for _, it := range items {
		for p.sockets[next].socket != it.Socket {
			next++
		}
		list = append(list, Polled{p.sockets[next], it.Events})
	}
	return list, err
}

// Reactor calls handlers for sockets and channels, all in the goroutine of Run.
// It is for one goroutine at a time; handlers may add and remove.
type Reactor struct{ *reactor }

// NewReactor returns a Reactor without handlers.
func NewReactor() *Reactor { return &Reactor{zmq4.NewReactor()} }

// AddSocket calls handler with the state of a socket when it is ready. It
// replaces an earlier handler of the socket.
func (r *Reactor) AddSocket(soc *Socket, events State, handler func(State) error) {
	r.reactor.AddSocket(inner(soc), events, handler)
}

// RemoveSocket removes the handler of a socket.
func (r *Reactor) RemoveSocket(soc *Socket) { r.reactor.RemoveSocket(inner(soc)) }

// Proxy carries messages between two sockets until the context is terminated or
// a socket is closed: it returns ETERM then. capture, unless nil, gets a copy of
// each message.
func Proxy(frontend, backend, capture *Socket) error {
	return zmq4.Proxy(inner(frontend), inner(backend), inner(capture))
}

// ProxySteerable is Proxy that obeys the commands PAUSE, RESUME, TERMINATE and
// STATISTICS, which it receives from control. It returns nil after TERMINATE.
func ProxySteerable(frontend, backend, capture, control *Socket) error {
	return zmq4.ProxySteerable(inner(frontend), inner(backend), inner(capture), inner(control))
}

// inner returns the socket of compat/pebbe, nil for nil.
func inner(soc *Socket) *zmq4.Socket {
	if soc == nil {
		return nil
	}
	return soc.socket
}
