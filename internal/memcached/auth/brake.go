package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Brake delays logins from an address after failed ones, so that passwords cannot be
// guessed quickly. After Free failures the next login waits Base, and each further
// one twice as long, up to Most. Logins that arrive together wait for each other. It
// is safe for concurrent use.
type Brake struct {
	Free int           // failures without a delay
	Base time.Duration // the first delay
	Most time.Duration // the longest one

	now func() time.Time

	mu    sync.Mutex // guards table
	table map[netip.Addr]*record
}

// record is what is known of an address with failed logins.
type record struct {
	failures int
	last     time.Time // of the last failure
	next     time.Time // when the next login may be checked
}

const (
	maxRecords = 4096             // addresses in the table
	forgetIn   = 10 * time.Minute // after the last failure
	maxWaiting = 30 * time.Second // a login that would wait longer is refused
)

// NewBrake returns a Brake with 5 free failures and delays of 10 ms to 5 s. now is
// the clock; nil is the system's.
func NewBrake(now func() time.Time) *Brake {
	if now == nil {
		now = time.Now
	}
	return &Brake{Free: 5, Base: 10 * time.Millisecond, Most: 5 * time.Second, now: now, table: make(map[netip.Addr]*record)}
}

// Wait returns how long a login from addr must wait before its password is checked.
// ok is false if too many are waiting: the login is refused without a check. The
// zero Addr never waits.
func (b *Brake) Wait(addr netip.Addr) (d time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.table[addr]
	if r == nil {
		return 0, true
	}
	now := b.now()
	if now.Sub(r.last) > forgetIn {
		delete(b.table, addr)
		return 0, true
	}
	if r.failures <= b.Free {
		return 0, true
	}
	at := r.next
	if at.Before(now) {
		at = now
	}
	if d = at.Sub(now); d > maxWaiting {
		return 0, false
	}
	r.next = at.Add(b.delay(r.failures))
	return d, true
}

// delay is the time between two logins after n failures.
func (b *Brake) delay(n int) time.Duration {
	return min(b.Most, b.Base<<min(n-b.Free-1, 30))
}

// Done records the result of a login from addr.
func (b *Brake) Done(addr netip.Addr, ok bool) {
	if !addr.IsValid() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		delete(b.table, addr)
		return
	}
	now := b.now()
	r := b.table[addr]
	if r == nil {
		if len(b.table) >= maxRecords {
			b.evict(now)
		}
		r = &record{}
		b.table[addr] = r
	}
	r.failures++
	r.last = now
	if r.failures > b.Free {
		if next := now.Add(b.delay(r.failures)); next.After(r.next) {
			r.next = next
		}
	}
}

// evict removes records that are forgotten, or else one of them. b.mu must be held.
func (b *Brake) evict(now time.Time) {
	for addr, r := range b.table {
		if now.Sub(r.last) > forgetIn {
			delete(b.table, addr)
		}
	}
	for addr := range b.table {
		if len(b.table) < maxRecords {
			return
		}
		delete(b.table, addr)
	}
}
