package zmq4

import (
	"errors"
	"log"
	"maps"
	"slices"
	"time"
)

// Reactor calls handlers for sockets and channels, all in the goroutine of Run.
// It is for one goroutine at a time; handlers may add and remove.
type Reactor struct {
	sockets  []reactorSocket
	poller   *Poller // of sockets; nil after a change
	channels map[uint64]reactorChannel
	last     uint64 // id of a channel
	verbose  bool
}

type reactorSocket struct {
	soc     *Socket
	events  State
	handler func(State) error
}

type reactorChannel struct {
	// next receives a value without waiting. open is false when the channel is
	// closed.
	next    func() (value any, received, open bool)
	limit   int
	handler func(any) error
}

// NewReactor returns a Reactor without handlers.
func NewReactor() *Reactor { return &Reactor{channels: make(map[uint64]reactorChannel)} }

// AddSocket calls handler with the state of a socket when it is ready. It
// replaces an earlier handler of the socket.
func (r *Reactor) AddSocket(soc *Socket, events State, handler func(State) error) {
	r.RemoveSocket(soc)
	r.sockets = append(r.sockets, reactorSocket{soc, events, handler})
}

// RemoveSocket removes the handler of a socket.
func (r *Reactor) RemoveSocket(soc *Socket) {
	r.poller = nil
	r.sockets = slices.DeleteFunc(slices.Clone(r.sockets), func(x reactorSocket) bool { return x.soc == soc })
}

// AddChannel calls handler with each value from ch: up to limit values between
// two polls of the sockets, or all there are if limit is not positive. A closed
// channel is removed. It returns an id for RemoveChannel.
func (r *Reactor) AddChannel(ch <-chan interface{}, limit int, handler func(interface{}) error) (id uint64) {
	return addChannel(r, ch, limit, handler)
}

// AddChannelTime is AddChannel for a channel of times, such as that of a ticker.
func (r *Reactor) AddChannelTime(ch <-chan time.Time, limit int, handler func(interface{}) error) (id uint64) {
	return addChannel(r, ch, limit, handler)
}

func addChannel[T any](r *Reactor, ch <-chan T, limit int, handler func(any) error) uint64 {
	next := func() (any, bool, bool) {
		select {
		case v, ok := <-ch:
			return v, ok, ok
		default:
			return nil, false, true
		}
	}
	r.last++
	r.channels[r.last] = reactorChannel{next, limit, handler}
	return r.last
}

// RemoveChannel removes a channel.
func (r *Reactor) RemoveChannel(id uint64) { delete(r.channels, id) }

// SetVerbose sets whether the log package gets a line for each event.
func (r *Reactor) SetVerbose(verbose bool) { r.verbose = verbose }

// Run calls handlers until one returns an error, and returns that error. It waits
// for sockets for an interval, which must not be negative if there are channels,
// and then looks at the channels. With neither it returns an error.
func (r *Reactor) Run(interval time.Duration) (err error) {
	for {
		if err := r.handleChannels(); err != nil {
			return err
		}
		switch {
		case len(r.channels) > 0 && interval < 0:
			return errors.New("zmq4: reactor with channels and an infinite interval")
		case len(r.sockets) > 0:
			err = r.handleSockets(interval)
		case len(r.channels) > 0:
			time.Sleep(interval)
		default:
			return errors.New("zmq4: reactor without sockets and channels")
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reactor) handleSockets(interval time.Duration) error {
	if r.poller == nil {
		r.poller = NewPoller()
		for _, x := range r.sockets {
			r.poller.Add(x.soc, x.events)
		}
	}
	polled, err := r.poller.Poll(interval)
	if err != nil {
		return err
	}
	for _, it := range polled {
		i := slices.IndexFunc(r.sockets, func(x reactorSocket) bool { return x.soc == it.Socket })
		if i < 0 {
			continue // removed by a handler
		}
		r.trace("%v %v", it.Socket, it.Events)
		if err := r.sockets[i].handler(it.Events); err != nil {
			return err
		}
	}
	return nil
}

// handleChannels handles what the channels hold, in the order in which they were
// added.
func (r *Reactor) handleChannels() error {
	for _, id := range slices.Sorted(maps.Keys(r.channels)) {
		ch := r.channels[id]
		for n := 0; ch.limit <= 0 || n < ch.limit; n++ {
			if _, ok := r.channels[id]; !ok {
				break // removed by a handler
			}
			v, received, open := ch.next()
			if !open {
				r.trace("removing closed channel %d", id)
				r.RemoveChannel(id)
			}
			if !received {
				break
			}
			r.trace("channel %d: %v", id, v)
			if err := ch.handler(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reactor) trace(format string, args ...any) {
	if r.verbose {
		log.Printf("Reactor: "+format, args...)
	}
}
