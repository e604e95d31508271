package engine

import (
	"container/list"
	"errors"
	"sync"
)

// Budget bounds the octets of unfinished messages on all connections of a socket
// together. Each connection claims what it holds. When all claims but the largest
// exceed the limit, the connection is closed that has made no progress for the
// longest time. The largest claim does not count, so that one message may take as
// much as Limits allow. No connection waits for another.
type Budget struct {
	mu sync.Mutex
	// The fields below are protected by mu.
	limit   int // 0: none
	total   int
	largest *claim    // nil: there are no claims
	claims  list.List // of *claim, the longest without progress first
}

// claim is what one connection holds. Its fields are protected by Budget.mu.
type claim struct {
	octets int
	place  *list.Element // nil: octets is 0
	close  func(error)
}

// minClaim is how many octets a connection holds before they count. Others hold
// less than a read buffer.
const minClaim = 64 << 10

var errOverBudget = errors.New("zmq: too many octets of unfinished messages from all peers (option unfinished_octets), and none from this one for the longest time")

// SetLimit changes the limit in octets. 0 is none. It applies to later claims.
func (b *Budget) SetLimit(limit int) {
	b.mu.Lock()
	b.limit = limit
	b.mu.Unlock()
}

// set changes the claim of a connection that has just read, and closes others if
// need be.
func (b *Budget) set(c *claim, octets int) {
	b.mu.Lock()
	var over []*claim
	b.change(c, octets)
	for b.limit > 0 && b.largest != nil && b.total-b.largest.octets > b.limit {
		place := b.claims.Front()
		if place.Value.(*claim) == b.largest {
			place = place.Next()
		}
		victim := place.Value.(*claim)
		b.change(victim, 0)
		over = append(over, victim)
	}
	b.mu.Unlock()
	for _, victim := range over {
		victim.close(errOverBudget)
	}
}

// change makes octets the claim of c, and c the last to be closed. b.mu is held.
func (b *Budget) change(c *claim, octets int) {
	b.total += octets - c.octets
	c.octets = octets
	switch {
	case octets == 0 && c.place != nil:
		b.claims.Remove(c.place)
		c.place = nil
	case octets > 0 && c.place == nil:
		c.place = b.claims.PushBack(c)
	case octets > 0:
		b.claims.MoveToBack(c.place)
	}
	switch {
	case b.largest == nil || octets > b.largest.octets:
		b.largest = c
	case c == b.largest:
		for place := b.claims.Front(); place != nil; place = place.Next() {
			if other := place.Value.(*claim); other.octets > b.largest.octets {
				b.largest = other
			}
		}
	}
	if b.claims.Len() == 0 {
		b.largest = nil
	}
}
