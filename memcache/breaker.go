package memcache

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// breaker is the circuit breaker of a server: while it is open, requests fail at once.
// server.mu protects it, except open.
type breaker struct {
	min, max time.Duration
	failures int       // consecutive
	until    time.Time // no attempt to connect before
	cause    error     // what requests return while the breaker is open
	open     atomic.Bool
}

// check returns nil if an attempt to connect may be made.
func (b *breaker) check(now time.Time) error {
	if b.open.Load() && now.Before(b.until) {
		return b.cause
	}
	return nil
}

// failed opens the breaker: for min after the first failure, and twice as long after
// each consecutive one, up to max. The time is shortened at random by up to a half, so
// that clients do not all return at once.
func (b *breaker) failed(now time.Time, err error) {
	pause := b.max
	if b.failures < 30 && b.min<<b.failures < b.max {
		pause = b.min << b.failures
	}
	b.failures++
	pause -= rand.N(pause/2 + 1)
	b.until = now.Add(pause)
	if _, ok := errors.AsType[*pipeline.DownError](err); !ok {
		err = &pipeline.DownError{Cause: err}
	}
	b.cause = err
	b.open.Store(true)
}
