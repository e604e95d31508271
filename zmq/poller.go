package zmq

import (
	"context"
	"fmt"
	"sync"
)

// Readiness says what a socket can do without waiting.
type Readiness uint8

// The bits of Readiness.
const (
	CanRecv Readiness = 1 << iota
	CanSend
)

// Ready is a socket that a Poller found ready. A closed socket is ready for
// everything.
type Ready struct {
	Socket Socket
	Is     Readiness
}

// Poller waits for several sockets at once. It tells what is so now, not what
// has changed. Programs that can afford a goroutine for each socket do not
// need one. A Poller must be closed.
type Poller struct {
	wake chan struct{}

	mu sync.Mutex
	// The fields below are protected by mu.
	items []pollItem
}

type pollItem struct {
	s    Socket
	want Readiness
	w    *watcher
}

// watcher is called when the socket it watches may have become ready. It is
// called with a lock held and must not wait.
type watcher struct{ wake chan struct{} }

func (w *watcher) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// NewPoller makes a Poller without sockets.
func NewPoller() *Poller { return &Poller{wake: make(chan struct{}, 1)} }

// Add waits for s to be ready for what want says. Each socket can be added
// once.
func (p *Poller) Add(s Socket, want Readiness) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.items {
		if it.s.base() == s.base() {
			return fmt.Errorf("zmq: the poller has this %v already", s.Type())
		}
	}
	it := pollItem{s, want, &watcher{p.wake}}
	s.base().watch(it.w)
	p.items = append(p.items, it)
	it.w.notify()
	return nil
}

// Modify changes what s is waited for.
func (p *Poller) Modify(s Socket, want Readiness) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, it := range p.items {
		if it.s.base() == s.base() {
			p.items[i].want = want
			it.w.notify()
			return nil
		}
	}
	return fmt.Errorf("zmq: the poller does not have this %v", s.Type())
}

// Remove waits for s no longer.
func (p *Poller) Remove(s Socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, it := range p.items {
		if it.s.base() == s.base() {
			s.base().unwatch(it.w)
			p.items = append(p.items[:i], p.items[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("zmq: the poller does not have this %v", s.Type())
}

// Close removes all sockets.
func (p *Poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.items {
		it.s.base().unwatch(it.w)
	}
	p.items = nil
	return nil
}

// Poll returns the sockets that are ready now, in the order they were added.
func (p *Poller) Poll() []Ready {
	p.mu.Lock()
	items := append([]pollItem(nil), p.items...)
	p.mu.Unlock()
	var ready []Ready
	for _, it := range items {
		if is := it.s.base().readiness(it.want); is != 0 {
			ready = append(ready, Ready{it.s, is})
		}
	}
	return ready
}

// Wait is Poll that waits until a socket is ready or ctx is done.
func (p *Poller) Wait(ctx context.Context) ([]Ready, error) {
	for {
		if ready := p.Poll(); len(ready) > 0 {
			return ready, nil
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *core) watch(w *watcher) {
	s.lockBoth()
	defer s.unlockBoth()
	s.watchers = append(s.watchers, w)
	s.stopAlone()
}

func (s *core) unwatch(w *watcher) {
	s.lockBoth()
	defer s.unlockBoth()
	for i, x := range s.watchers {
		if x == w {
			s.watchers = append(s.watchers[:i:i], s.watchers[i+1:]...)
			return
		}
	}
}

// notifyWatchers tells pollers that something may have changed. One of the
// two locks is held.
func (s *core) notifyWatchers() {
	for _, w := range s.watchers {
		w.notify()
	}
}

// readiness reports which of the wanted things can be done without waiting.
func (s *core) readiness(want Readiness) (is Readiness) {
	if want&CanSend != 0 {
		s.send.Lock()
		if s.failed != nil || s.pat.canSendNow() {
			is |= CanSend
		}
		s.send.Unlock()
	}
	if want&CanRecv != 0 {
		s.recv.Lock()
		if s.recvFailed != nil || s.pat.canRecvNow() {
			is |= CanRecv
		}
		s.tell()
		s.recv.Unlock()
	}
	return is
}
