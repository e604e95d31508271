package zmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/flow"
)

// half is what the sending and the receiving side of a socket have in common.
// Its lock protects its fields and the state of the socket type that belongs
// to the side.
type half struct {
	*sync.Mutex // PAIR, CHANNEL, REQ and REP have one lock for both sides

	err      error         // of every later call, once the socket is closed or terminated
	waiters  flow.Waiters  // blocked calls
	watchers []*watcher    // pollers
	timeout  time.Duration // of blocked calls; 0 never blocks, negative never times out
	local    bool          // has or had a peer in this process
	log      *eventLog     // has the reason why a connection failed

	// activity is set when a blocked call may be able to go on. Spinning calls
	// reset and read it; see spin.go.
	activity atomic.Bool
	spinner  spinner
}

// newLock returns a lock that shares a cache line with nothing else. Every
// message takes it, and the next line may hold the lock of the socket at the
// other end.
func newLock() *sync.Mutex {
	return &new(struct {
		sync.Mutex
		_ [128 - 8]byte
	}).Mutex
}

// wakeOne lets one blocked call and every poller go on. The call wakes the
// next one if it leaves something behind. The lock is held.
func (h *half) wakeOne() {
	h.waiters.Wake()
	h.notifyWatchers()
}

// wakeAll lets all blocked calls and every poller go on. The lock is held.
func (h *half) wakeAll() {
	h.waiters.WakeAll()
	h.notifyWatchers()
}

// notifyWatchers notifies every poller. The lock is held.
func (h *half) notifyWatchers() {
	for _, w := range h.watchers {
		w.notify()
	}
}

// watch adds a poller, unwatch removes it. The lock is held.
func (h *half) watch(w *watcher) { h.watchers = append(h.watchers, w) }

func (h *half) unwatch(w *watcher) {
	for i, x := range h.watchers {
		if x == w {
			h.watchers = append(h.watchers[:i:i], h.watchers[i+1:]...)
			return
		}
	}
}

// noWait is the context of calls that return ErrWouldBlock instead of blocking.
type noWait struct{ context.Context }

var try context.Context = noWait{context.Background()}

// wait is the state of one blocking call between its attempts.
type wait struct {
	patient bool      // ignores the socket's timeout
	spun    bool      // the last wait was a spin, so the next one parks
	until   time.Time // when the call times out; set by the first park

	parked *flow.Waiter // to be freed at the next attempt
	bell   *pipe        // of the batch that the receiver waits for; see gather
}

// lockFor locks h for the next attempt of a blocking call.
func (h *half) lockFor(w *wait) {
	h.Lock()
	if w.parked != nil {
		h.waiters.Free(w.parked)
		w.parked = nil
	}
}

// unlockAndPark queues the calling goroutine, releases the lock and waits until it is
// woken, ctx is done or the call times out.
func (h *half) unlockAndPark(ctx context.Context, w *wait) error {
	w.spun = false
	left := w.left(h.timeout)
	x := h.waiters.Add()
	h.Unlock()
	err := x.Wait(ctx, left)
	if err == nil {
		w.parked = x
		return nil
	}
	h.Lock()
	h.waiters.Remove(x)
	h.Unlock()
	if ctx.Err() == nil {
		err = ErrWouldBlock // the socket's timeout
	}
	return h.log.explain(err)
}

// never reports whether the call must not block at all.
func (w *wait) never(ctx context.Context, timeout time.Duration) bool {
	return ctx == try || timeout == 0 && !w.patient
}

// left returns how long the call may still block, negative without limit.
func (w *wait) left(timeout time.Duration) time.Duration {
	if timeout < 0 || w.patient {
		return -1
	}
	now := time.Now()
	if w.until.IsZero() {
		w.until = now.Add(timeout)
	}
	return max(w.until.Sub(now), 0)
}
