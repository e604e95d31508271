package sequence

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Epoch identifies one life of a publisher: 8 octets of the time at which it
// began, in nanoseconds since 1970, big-endian, and 8 random octets. Later lives
// compare greater unless the publisher's clock was set back in between. The zero
// Epoch is none.
type Epoch [16]byte

// NewEpoch returns the epoch of a publisher that begins now.
func NewEpoch(now time.Time) Epoch {
	var e Epoch
	binary.BigEndian.PutUint64(e[:8], uint64(now.UnixNano()))
	rand.Read(e[8:]) // never fails, see crypto/rand
	return e
}

// Before reports whether e is an earlier epoch than other.
func (e Epoch) Before(other Epoch) bool { return bytes.Compare(e[:], other[:]) < 0 }

// ParseEpoch parses the 32 hexadecimal digits that String returns.
func ParseEpoch(s string) (Epoch, error) {
	var e Epoch
	if hex.DecodedLen(len(s)) != len(e) {
		return e, fmt.Errorf("epoch %q: want %d hexadecimal digits", s, 2*len(e))
	}
	if _, err := hex.Decode(e[:], []byte(s)); err != nil {
		return Epoch{}, fmt.Errorf("epoch %q: want hexadecimal digits", s)
	}
	return e, nil
}

// String returns the epoch as 32 hexadecimal digits.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// Verdict classifies a number.
type Verdict uint8

const (
	// Next is the number that was expected.
	Next Verdict = iota
	// Duplicate is a number that was accepted before, or one of an earlier epoch:
	// those can arrive late when a connection was replaced and both have unread
	// publications.
	Duplicate
	// Gap is a number behind at least one that has not arrived.
	Gap
	// Restart is a number of a later epoch.
	Restart
)

// Tracker follows the numbers of one publisher. Its zero value has seen
// nothing: the first epoch it observes is a Restart.
type Tracker struct {
	epoch Epoch
	next  uint64
}

// Epoch returns the current epoch.
func (t *Tracker) Epoch() Epoch { return t.epoch }

// Next returns the number expected next.
func (t *Tracker) Next() uint64 { return t.next }

// Begin makes e the current epoch and next the number expected next.
func (t *Tracker) Begin(e Epoch, next uint64) { t.epoch, t.next = e, next }

// Advance records that everything below next has been accepted.
func (t *Tracker) Advance(next uint64) { t.next = next }

// Observe classifies number n of epoch e and changes nothing.
func (t *Tracker) Observe(e Epoch, n uint64) Verdict {
	if e != t.epoch {
		if e.Before(t.epoch) {
			return Duplicate
		}
		return Restart
	}
	switch {
	case n == t.next:
		return Next
	case n < t.next:
		return Duplicate
	}
	return Gap
}
