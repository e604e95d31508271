package zmq

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// heartbeat is the PINGs of a link, and the wait for signs of life.
type heartbeat struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	ping    *time.Timer
	silence vigil // after a PING of ours
	life    vigil // after a PING of the peer that said how long to wait
	over    bool

	on     atomic.Bool // a vigil is kept
	paused atomic.Bool // we do not read, so silence says nothing
}

// vigil ends a link unless a sign of life comes in time.
type vigil struct {
	t    *time.Timer
	kept bool
	turn int // tells a timer that was too late to be stopped from its successor
}

var (
	errSilent  = errors.New("zmq: the peer did not answer a heartbeat")
	errExpired = errors.New("zmq: the peer was silent for longer than it said it would be")
)

func (h *heartbeat) start(l *link) {
	every := l.ep.o.HeartbeatInterval
	if every <= 0 || l.peer.version < zmtp.ZMTP30 || l.stream {
		return
	}
	patience := l.ep.o.HeartbeatTimeout
	if patience < 0 {
		patience = every
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	h.ping = time.AfterFunc(every, func() {
		// The vigil begins before the PING leaves, or its answer might come first.
		if h.await(l, every, patience) {
			l.control(flow.Command, zmtp.AppendPing(nil, l.ep.o.HeartbeatTTL, nil))
		}
	})
}

// await begins to wait for the answer to the next PING.
func (h *heartbeat) await(l *link, every, patience time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.ping.Reset(every)
	if patience > 0 && !h.silence.kept {
		h.keep(&h.silence, patience, l, errSilent)
	}
	return true
}

// keep begins a vigil, or begins it anew. h.mu is held.
func (h *heartbeat) keep(v *vigil, d time.Duration, l *link, why error) {
	v.kept = true
	v.turn++
	turn := v.turn
	h.on.Store(true)
	if v.t != nil {
		v.t.Stop()
	}
	v.t = time.AfterFunc(d, func() {
		h.mu.Lock()
		end := v.kept && v.turn == turn && !h.over
		if end && h.paused.Load() {
			end = false
			v.t.Reset(d)
		}
		h.mu.Unlock()
		if end {
			l.close(why)
		}
	})
}

// alive is called for every read while a vigil is kept.
func (h *heartbeat) alive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on.Store(false)
	for _, v := range []*vigil{&h.silence, &h.life} {
		v.kept = false
		if v.t != nil {
			v.t.Stop()
		}
	}
}

// pinged handles a PING: the peer may say how long it can be trusted.
func (h *heartbeat) pinged(l *link, ttl time.Duration) {
	if ttl == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.keep(&h.life, ttl, l, errExpired)
	}
}

func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.ping != nil {
		h.ping.Stop()
	}
	for _, v := range []*vigil{&h.silence, &h.life} {
		if v.t != nil {
			v.t.Stop()
		}
	}
}
