package memcache

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// breaker keeps callers away from a server that failed. The server's mutex
// protects it, except open.
type breaker struct {
	min, max time.Duration
	failures int       // in a row
	until    time.Time // no attempt before
	cause    error     // what callers are told meanwhile
	open     atomic.Bool
}

// check is nil when an attempt may be made.
func (b *breaker) check(now time.Time) error {
	if b.open.Load() && now.Before(b.until) {
		return b.cause
	}
	return nil
}

// failed opens the breaker: for min at first, twice as long with each further
// failure up to max, and shortened by up to a half so that clients do not
// return in step.
func (b *breaker) failed(now time.Time, err error) {
	pause := b.max
	if b.failures < 30 && b.min<<b.failures < b.max {
		pause = b.min << b.failures
	}
	b.failures++
	pause -= rand.N(pause/2 + 1)
	b.until = now.Add(pause)
	b.cause = fmt.Errorf("%w after %w", ErrServerDown, err)
	b.open.Store(true)
}
