package zmq

import (
	"context"
	"slices"
	"sync"
)

// PollItem is a socket and what it can do without waiting, or what to wait
// for.
type PollItem struct {
	Socket     Socket
	Recv, Send bool
}

// Poller waits for several sockets at once. A program that can afford one
// goroutine for each socket does not need it. The zero value is ready for use;
// a Poller must be closed, and not copied. All methods are safe for concurrent
// use.
//
// A socket can receive when there is a message, and can send when a message
// would be queued or dropped at once. A closed socket can do both: its methods
// return ErrClosed at once.
type Poller struct {
	once   sync.Once
	wake   chan struct{} // holds a token for one call of Wait, which passes it on
	notify chan struct{} // of Notify
	done   chan struct{} // closed by Close

	// mu may be held while a lock of a socket is taken, never the reverse.
	mu sync.Mutex
	// The fields below are protected by mu.
	items   []pollItem
	waiting int // calls of Wait
	closed  bool
}

type pollItem struct {
	PollItem
	w *watcher
}

// watcher notifies a Poller that its socket may have become ready. A lock of
// the socket is held, so it only uses channels.
type watcher struct{ wake, notifies chan struct{} }

func (w *watcher) notify() {
	put(w.wake)
	put(w.notifies)
}

// put leaves a token in c, unless there is one.
func put(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *Poller) init() {
	p.once.Do(func() {
		p.wake, p.notify, p.done = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	})
}

// Set adds a socket to the poller, or changes what to wait for. With neither
// Recv nor Send it removes the socket. After Close it returns ErrClosed.
func (p *Poller) Set(item PollItem) error {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	i := slices.IndexFunc(p.items, func(it pollItem) bool { return it.Socket.base() == item.Socket.base() })
	remove := !item.Recv && !item.Send
	switch {
	case i < 0 && remove:
		return nil
	case remove:
		item.Socket.base().unwatch(p.items[i].w)
		p.items = slices.Delete(p.items, i, i+1)
		return nil
	case i < 0:
		i = len(p.items)
		p.items = append(p.items, pollItem{w: &watcher{p.wake, p.notify}})
		item.Socket.base().watch(p.items[i].w)
	}
	p.items[i].PollItem = item
	p.items[i].w.notify()
	return nil
}

// Close removes all sockets. Calls of Wait return ErrClosed, and the channel
// of Notify is closed.
func (p *Poller) Close() error {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	for _, it := range p.items {
		it.Socket.base().unwatch(it.w)
	}
	p.items = nil
	close(p.done)
	close(p.notify) // nothing notifies after unwatch
	return nil
}

// Poll returns the sockets that are ready now, in the order in which they were
// added, and what each can do.
func (p *Poller) Poll() []PollItem {
	p.mu.Lock()
	items := slices.Clone(p.items)
	p.mu.Unlock()
	var ready []PollItem
	for _, it := range items {
		recv, send := it.Socket.base().readiness(it.Recv, it.Send)
		if recv || send {
			ready = append(ready, PollItem{it.Socket, recv, send})
		}
	}
	return ready
}

// Wait is Poll that waits until a socket is ready. It returns the error of ctx
// when that is done first, with what keeps the sockets from connecting, and ErrClosed when the poller is closed. All calls
// that wait at the same time return when a socket becomes ready.
func (p *Poller) Wait(ctx context.Context) ([]PollItem, error) {
	p.init()
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	for {
		if ready := p.Poll(); len(ready) > 0 {
			return ready, nil
		}
		select {
		case <-p.wake:
		case <-p.done:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, p.explain(ctx.Err())
		}
	}
}

// explain adds to the error of a wait what keeps the sockets from connecting.
func (p *Poller) explain(err error) error {
	p.mu.Lock()
	items := slices.Clone(p.items)
	p.mu.Unlock()
	for _, it := range items {
		err = it.Socket.base().events.explain(err)
	}
	return err
}

func (p *Poller) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.waiting++
	return nil
}

// leave passes the token on to the next call of Wait.
func (p *Poller) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting--; p.waiting > 0 {
		put(p.wake)
	}
}

// Notify returns a channel that receives a value when a socket may have become
// ready for what it was set to, for event loops that wait for other things too
// and for descriptors such as libzmq's ZMQ_FD. It is edge-triggered: a receiver
// must call Poll, and use the sockets until Poll returns nothing, before the
// next value is sure to come. Values are merged, and one may come without a
// socket being ready. All calls return the same channel; Close closes it.
func (p *Poller) Notify() <-chan struct{} {
	p.init()
	return p.notify
}

func (s *core) watch(w *watcher) {
	s.lockBoth()
	defer s.unlockBoth()
	s.send.watch(w)
	s.recv.watch(w)
	s.recv.stopDirect()
}

func (s *core) unwatch(w *watcher) {
	s.lockBoth()
	defer s.unlockBoth()
	s.send.unwatch(w)
	s.recv.unwatch(w)
}

// readiness reports which of the wanted things can be done without waiting.
func (s *core) readiness(recv, send bool) (canRecv, canSend bool) {
	if send {
		s.send.Lock()
		canSend = s.send.err != nil || s.send.ready()
		s.send.Unlock()
	}
	if recv {
		s.recv.Lock()
		canRecv = s.recv.err != nil || s.recv.ready()
		s.recv.unlock()
	}
	return canRecv, canSend
}
