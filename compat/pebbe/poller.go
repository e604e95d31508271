package zmq4

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"lintel.dev/zmq"
)

// Polled is a socket and what it can do, as Poll returns it.
type Polled struct {
	Socket *Socket // the socket
	Events State   // what it can do
}

// Poller waits for several sockets at once. It is for one goroutine at a time.
type Poller struct {
	items   []Polled          // what to wait for
	watched map[*socket]State // what z waits for
	changed bool              // items and watched may differ
	z       *zmq.Poller
}

// NewPoller returns a Poller without sockets.
func NewPoller() *Poller {
	p := &Poller{watched: make(map[*socket]State), z: new(zmq.Poller)}
	runtime.AddCleanup(p, func(z *zmq.Poller) { _ = z.Close() }, p.z)
	return p
}

// Add adds a socket, which may be added several times. It returns an id: the
// index in the result of PollAll.
func (p *Poller) Add(soc *Socket, events State) int {
	p.items, p.changed = append(p.items, Polled{soc, events}), true
	return len(p.items) - 1
}

// Update changes what to wait for, and returns what it was. It returns
// ErrorNoSocket for an unknown id.
func (p *Poller) Update(id int, events State) (previous State, err error) {
	if id < 0 || id >= len(p.items) {
		return 0, ErrorNoSocket
	}
	previous = p.items[id].Events
	p.items[id].Events, p.changed = events, true
	return previous, nil
}

// UpdateBySocket is Update of the first item of a socket.
func (p *Poller) UpdateBySocket(soc *Socket, events State) (previous State, err error) {
	return p.Update(p.index(soc), events)
}

// Remove removes an item. The ids of later ones decrease by one. It returns
// ErrorNoSocket for an unknown id.
func (p *Poller) Remove(id int) error {
	if id < 0 || id >= len(p.items) {
		return ErrorNoSocket
	}
	p.items, p.changed = slices.Delete(p.items, id, id+1), true
	return nil
}

// RemoveBySocket is Remove of the first item of a socket.
func (p *Poller) RemoveBySocket(soc *Socket) error { return p.Remove(p.index(soc)) }

func (p *Poller) index(soc *Socket) int {
	return slices.IndexFunc(p.items, func(it Polled) bool { return it.Socket == soc })
}

// Poll waits until a socket is ready and returns those that are, in the order in
// which they were added. After the timeout, which is truncated to milliseconds,
// it returns none; a negative one is without limit. Without sockets it returns at
// once.
func (p *Poller) Poll(timeout time.Duration) ([]Polled, error) { return p.poll(timeout, false) }

// PollAll is Poll that returns all sockets, also those without events.
func (p *Poller) PollAll(timeout time.Duration) ([]Polled, error) { return p.poll(timeout, true) }

func (p *Poller) poll(timeout time.Duration, all bool) ([]Polled, error) {
	list := make([]Polled, 0, len(p.items))
	if len(p.items) == 0 {
		return list, nil
	}
	for _, it := range p.items {
		if _, err := it.Socket.opened(); err != nil {
			return list, err
		}
	}
	ready, err := p.wait(timeout)
	if err == nil && p.interrupted() {
		err = ETERM
	}
	if err != nil {
		return list, err
	}
	for _, it := range p.items {
		s := it.Socket.s
		var z State
		for _, r := range ready {
			if r.Socket == s.Socket {
				z = stateOf(r)
			}
		}
		z = s.adjust(z) & it.Events
		if all || z != 0 {
			list = append(list, Polled{it.Socket, z})
		}
	}
	runtime.KeepAlive(p)
	return list, nil
}

// interrupted reports whether a socket was closed, or its context terminated,
// while the call waited.
func (p *Poller) interrupted() bool {
	return slices.ContainsFunc(p.items, func(it Polled) bool {
		s := it.Socket.s
		return s.closed.Load() || s.group.isTerminated()
	})
}

// wait returns the sockets that are ready by what their zmq.Socket can do, when
// one is, or when one has parts of a message.
func (p *Poller) wait(timeout time.Duration) ([]zmq.PollItem, error) {
	if p.changed {
		if err := p.watch(); err != nil {
			return nil, errnoOf(err, einval)
		}
	}
	ready := p.z.Poll()
	if len(ready) > 0 || p.buffered() || timeout >= 0 && timeout < time.Millisecond {
		return ready, nil
	}
	ctx := background
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout.Truncate(time.Millisecond))
		defer cancel()
	}
	ready, err := p.z.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return ready, errnoOf(err, einval)
}

// buffered reports whether parts of a message make an item ready.
func (p *Poller) buffered() bool {
	return slices.ContainsFunc(p.items, func(it Polled) bool { return it.Socket.s.adjust(0)&it.Events != 0 })
}

// watch makes z wait for the items.
func (p *Poller) watch() error {
	want := make(map[*socket]State)
	for _, it := range p.items {
		want[it.Socket.s] |= it.Events
	}
	for s := range p.watched {
		if want[s] == 0 {
			delete(p.watched, s)
			if err := p.z.Set(pollItem(s, 0)); err != nil {
				return err
			}
		}
	}
	for s, state := range want {
		if p.watched[s] == state {
			continue
		}
		if err := p.z.Set(pollItem(s, state)); err != nil {
			return err
		}
		p.watched[s] = state
	}
	p.changed = false
	return nil
}

// String returns the sockets and what to wait for.
func (p *Poller) String() string {
	var items []string
	for _, it := range p.items {
		items = append(items, fmt.Sprintf("%v%v", it.Socket, it.Events))
	}
	return "Poller[" + strings.Join(items, " ") + "]"
}
