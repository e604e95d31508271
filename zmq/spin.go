package zmq

import (
	"context"
	"runtime"
	"sync/atomic"
)

// Waiting between goroutines of one process (inproc). Parking a goroutine and
// waking it costs several microseconds, often more than the other side needs to
// make progress. A blocked call on a socket with a peer in the process therefore
// yields a few times before it parks. Where both sides run at the same time, it
// first polls a flag without yielding. Receivers of a fast sender also wait for
// a batch to fill, because taking messages one by one makes both sides contend
// for the same cache lines.
//
// Measured with inproc_thr, 8 octets, each thread on its own processor, medians
// of 9 in three runs: yielding before parking 11 to 20 million messages a second;
// polling and waiting for batches 17.0, 19.8 and 17.4 to 26.0, 37.0 and 24.5.
const (
	recvYields = 16 // of a receiver before it parks
	sendYields = 16 // of a sender

	// A receiver whose last batch had at least burstMsgs messages waits for the
	// next gatherMsgs and yields up to gatherYields times meanwhile.
	burstMsgs    = 32
	gatherMsgs   = 256
	gatherYields = 32

	// maxSpins is how often a call polls before it yields: some microseconds.
	// After vain polling it is skipped more and more, but no more than maxVain
	// times in a row.
	maxSpins = 32768
	maxVain  = 64
)

// spinner decides whether polling pays. Concurrent updates may be lost, which
// only makes the decision less exact.
type spinner struct {
	vain atomic.Int32 // how many waits to skip after polling in vain
	skip atomic.Int32 // of those, how many are left
}

// poll polls flag, if that paid before, and returns its value.
func (s *spinner) poll(flag *atomic.Bool) bool {
	if n := s.skip.Load(); n > 0 {
		s.skip.Store(n - 1)
		return flag.Load()
	}
	for range maxSpins {
		if flag.Load() {
			s.vain.Store(0)
			return true
		}
	}
	n := min(2*s.vain.Load()+1, maxVain)
	s.vain.Store(n)
	s.skip.Store(n)
	return flag.Load()
}

// yieldFor yields up to n times until flag is set, and returns its value.
func yieldFor(n int, flag *atomic.Bool) bool {
	for range n {
		if flag.Load() {
			return true
		}
		runtime.Gosched()
	}
	return flag.Load()
}

// spinRecv returns when something may have arrived, but soon in any case. The
// lock is not held.
func (h *recvHalf) spinRecv() { yieldFor(recvYields, &h.activity) }

// spinSend returns when there may be room, but soon in any case. The lock is not
// held. It polls only with short messages: others are best copied and read in
// turn by one processor, whose cache holds them.
func (h *sendHalf) spinSend(short bool) {
	if !short || !h.spinner.poll(&h.activity) {
		yieldFor(sendYields, &h.activity)
	}
}

// gather takes the next batch from a peer in this process if the last one was
// large and is read. It reports whether the caller must wait for the bell of
// the peer, with unlockAndWait, because too few messages are there. The lock is
// held.
func (h *recvHalf) gather(ctx context.Context, w *wait) (wait bool) {
	p := h.fq.from
	if p == nil || p.burst < burstMsgs || !p.cur.Done() || p.inproc() == nil || w.never(ctx, h.timeout) {
		return false
	}
	if h.waiters.Any() || len(h.watchers) > 0 {
		return false // they are woken by every message
	}
	if t, ok := h.fq.ring.Current(); ok && t.V != p || h.fq.ring.Active() > 1 {
		return false
	}
	b, ok, wait, reopened := p.in.TakeMore(p.consumed, gatherMsgs, p.leave(), &p.bell)
	p.consumed = 0
	if reopened {
		h.reopened = append(h.reopened, p)
	}
	if ok {
		p.enter(b)
	}
	if wait {
		w.bell = p
	}
	return wait
}

// awaitBell waits, but not for long, until the batch of p that gather waits for
// is there. The lock is not held.
func (h *recvHalf) awaitBell(p *pipe) {
	rang := h.spinner.poll(&p.bell) || yieldFor(gatherYields, &p.bell)
	h.Lock()
	if !rang {
		p.in.CancelWait()
	}
	p.inTurn.Activate()
	h.Unlock()
}
