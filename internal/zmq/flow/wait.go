package flow

import (
	"context"
	"sync"
	"time"
)

// Waiters is a queue of parked goroutines, first come first woken. A lock of
// its owner protects it.
type Waiters struct {
	first, last *waiter
	free        *waiter // by next
}

type waiter struct {
	c          chan struct{}
	prev, next *waiter
	queued     bool
}

// Any reports whether somebody is parked.
func (w *Waiters) Any() bool { return w.first != nil }

// One reports whether exactly one goroutine is parked.
func (w *Waiters) One() bool { return w.first != nil && w.first == w.last }

// Wake lets one goroutine go on, if any is parked.
func (w *Waiters) Wake() {
	if x := w.first; x != nil {
		w.remove(x)
		x.c <- struct{}{}
	}
}

// WakeAll lets all of them go on.
func (w *Waiters) WakeAll() {
	for w.first != nil {
		w.Wake()
	}
}

func (w *Waiters) remove(x *waiter) {
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

// Wait parks until woken, until ctx is done or for at most d (negative: no
// limit). mu is released meanwhile and held again on return. It returns
// ctx.Err(), or context.DeadlineExceeded when d has passed; a wake-up that
// came at the same time goes to the next waiter and is not lost.
func (w *Waiters) Wait(ctx context.Context, mu *sync.Mutex, d time.Duration) error {
	x := w.free
	if x == nil {
		x = &waiter{c: make(chan struct{}, 1)}
	}
	w.free, x.next = x.next, nil
	x.queued = true
	x.prev = w.last
	if w.last != nil {
		w.last.next = x
	} else {
		w.first = x
	}
	w.last = x
	mu.Unlock()

	var err error
	done := ctx.Done()
	switch {
	case done == nil && d < 0:
		<-x.c
	default:
		var expired <-chan time.Time
		if d >= 0 {
			t := time.NewTimer(d)
			defer t.Stop()
			expired = t.C
		}
		select {
		case <-x.c:
		case <-done:
			err = ctx.Err()
		case <-expired:
			err = context.DeadlineExceeded
		}
	}
	mu.Lock()
	if err != nil {
		if x.queued {
			w.remove(x)
		} else {
			<-x.c
			w.Wake()
		}
	}
	x.next, w.free = w.free, x
	return err
}
