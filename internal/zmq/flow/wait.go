package flow

import (
	"context"
	"time"
)

// Waiters is a queue of parked goroutines. They are woken in the order in
// which they were added. A lock of its owner protects it.
type Waiters struct {
	first, last *Waiter
	free        *Waiter // by next
}

// Waiter is the place of one goroutine in a Waiters.
type Waiter struct {
	c          chan struct{}
	prev, next *Waiter
	queued     bool
}

// Any reports whether at least one goroutine is queued.
func (w *Waiters) Any() bool { return w.first != nil }

// One reports whether exactly one goroutine is queued.
func (w *Waiters) One() bool { return w.first != nil && w.first == w.last }

// Wake lets the first goroutine go on, if there is one.
func (w *Waiters) Wake() {
	if x := w.first; x != nil {
		w.unlink(x)
		x.c <- struct{}{}
	}
}

// WakeAll lets all goroutines go on.
func (w *Waiters) WakeAll() {
	for w.first != nil {
		w.Wake()
	}
}

// Add queues the calling goroutine, which must then release the owner's lock
// and call Wait.
func (w *Waiters) Add() *Waiter {
	x := w.free
	if x == nil {
		x = &Waiter{c: make(chan struct{}, 1)}
	} else {
		w.free, x.next = x.next, nil
	}
	x.queued = true
	x.prev = w.last
	if w.last != nil {
		w.last.next = x
	} else {
		w.first = x
	}
	w.last = x
	return x
}

// Wait parks the goroutine until it is woken, ctx is done or d has passed; a
// negative d never passes. The owner's lock must not be held. Wait returns
// ctx.Err(), or context.DeadlineExceeded when d has passed; Remove must follow.
// After nil, Free must follow.
func (x *Waiter) Wait(ctx context.Context, d time.Duration) error {
	done := ctx.Done()
	if done == nil && d < 0 {
		<-x.c
		return nil
	}
	var expired <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-x.c:
		return nil
	case <-done:
		return ctx.Err()
	case <-expired:
		return context.DeadlineExceeded
	}
}

// Remove ends a Wait that returned an error. If x was woken at the same time,
// the next goroutine is woken in its place.
func (w *Waiters) Remove(x *Waiter) {
	if x.queued {
		w.unlink(x)
	} else {
		<-x.c
		w.Wake()
	}
	w.Free(x)
}

// Free takes back x after a Wait that returned nil.
func (w *Waiters) Free(x *Waiter) { x.next, w.free = w.free, x }

func (w *Waiters) unlink(x *Waiter) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		w.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		w.last = x.prev
	}
	x.prev, x.next, x.queued = nil, nil, false
}
