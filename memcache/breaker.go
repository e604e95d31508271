package memcache

import (
	"math/rand/v2"
	"strings"
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

// downError is what callers are told of a server that is not tried again yet.
type downError struct{ cause error }

func (e *downError) Error() string {
	return ErrServerDown.Error() + ", not tried again yet: " + strings.TrimPrefix(e.cause.Error(), errPrefix)
}

func (e *downError) Is(target error) bool { return target == ErrServerDown }

func (e *downError) Unwrap() error { return e.cause }

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
	b.cause = &downError{err}
	b.open.Store(true)
}
