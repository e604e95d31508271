package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Heartbeat sends PINGs and ends a connection whose peer is silent.
type Heartbeat struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	ping    *time.Timer
	silence watchdog // after a PING of ours
	life    watchdog // after a PING of the peer that said how long to wait
	over    bool

	on     atomic.Bool // a watchdog is armed
	paused atomic.Bool // this side does not read, so silence says nothing
}

// watchdog ends a connection unless something arrives in time.
type watchdog struct {
	t     *time.Timer
	armed bool
	turn  int // tells a timer that was too late to be stopped from its successor
}

var (
	errSilent  = errors.New("zmq: the peer did not answer a heartbeat")
	errExpired = errors.New("zmq: the peer was silent for longer than the time to live it announced")
)

// Start begins to call ping every Config.HeartbeatInterval, and end when the
// peer does not answer in time.
func (h *Heartbeat) Start(cfg *Config, ping func(), end func(error)) {
	every := cfg.HeartbeatInterval
	if every <= 0 {
		return
	}
	timeout := cfg.HeartbeatTimeout
	if timeout < 0 {
		timeout = every
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	h.ping = time.AfterFunc(every, func() {
		// The watchdog is armed before the PING leaves: its answer might come first.
		if h.expect(every, timeout, end) {
			ping()
		}
	})
}

// expect arms the watchdog for the answer to a PING, and the timer of the next
// one. It reports false when the connection is over.
func (h *Heartbeat) expect(every, timeout time.Duration, end func(error)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.ping.Reset(every)
	if timeout > 0 && !h.silence.armed {
		h.arm(&h.silence, timeout, end, errSilent)
	}
	return true
}

// arm arms a watchdog, anew if it is armed. h.mu is held.
func (h *Heartbeat) arm(v *watchdog, d time.Duration, end func(error), why error) {
	v.armed = true
	v.turn++
	turn := v.turn
	h.on.Store(true)
	if v.t != nil {
		v.t.Stop()
	}
	v.t = time.AfterFunc(d, func() {
		h.mu.Lock()
		expired := v.armed && v.turn == turn && !h.over
		if expired && h.paused.Load() {
			expired = false
			v.t.Reset(d)
		}
		h.mu.Unlock()
		if expired {
			end(why)
		}
	})
}

// Alive disarms the watchdogs: something arrived.
func (h *Heartbeat) Alive() {
	if h.on.Load() {
		h.disarm()
	}
}

func (h *Heartbeat) disarm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on.Store(false)
	for _, v := range []*watchdog{&h.silence, &h.life} {
		v.armed = false
		if v.t != nil {
			v.t.Stop()
		}
	}
}

// pause suspends the watchdogs while this side does not read.
func (h *Heartbeat) pause() { h.paused.Store(true) }

// resume ends pause. The peer has all its time again.
func (h *Heartbeat) resume() {
	h.Alive()
	h.paused.Store(false)
}

// Pinged handles a PING of the peer. A ttl other than 0 is how long silence of
// the peer is not an error.
func (h *Heartbeat) Pinged(ttl time.Duration, end func(error)) {
	if ttl == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.arm(&h.life, ttl, end, errExpired)
	}
}

// Stop ends the heartbeat.
func (h *Heartbeat) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.ping != nil {
		h.ping.Stop()
	}
	for _, v := range []*watchdog{&h.silence, &h.life} {
		if v.t != nil {
			v.t.Stop()
		}
	}
}
