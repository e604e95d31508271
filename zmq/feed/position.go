package feed

import (
	"fmt"
	"strconv"
	"strings"

	"lintel.dev/internal/sequence"
)

// Epoch identifies one life of a publisher: a restarted publisher has another.
type Epoch [16]byte

// String returns the epoch as 32 hexadecimal digits.
func (e Epoch) String() string { return sequence.Epoch(e).String() }

// Position is a place in a feed: the last message that was taken. A Reader
// resumes behind it, see [After].
type Position struct {
	Epoch Epoch
	Seq   uint64 // 1 is the first message of an epoch; 0 is before it
}

// String returns the form that UnmarshalText parses: EPOCH:SEQ.
func (p Position) String() string {
	return p.Epoch.String() + ":" + strconv.FormatUint(p.Seq, 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The form is
// EPOCH:SEQ, the epoch as 32 hexadecimal digits.
func (p *Position) UnmarshalText(text []byte) error {
	epoch, seq, ok := strings.Cut(string(text), ":")
	if !ok {
		return fmt.Errorf("feed: position %.80q: want EPOCH:SEQ", text)
	}
	e, err := sequence.ParseEpoch(epoch)
	if err != nil {
		return fmt.Errorf("feed: position %.80q: %w", text, err)
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return fmt.Errorf("feed: position %.80q: sequence %.40q is not a number below 2^64", text, seq)
	}
	p.Epoch, p.Seq = Epoch(e), n
	return nil
}

// Start says where a Reader begins. The zero Start is [Latest].
type Start struct {
	kind startKind
	at   Position
}

type startKind uint8

const (
	fromLatest startKind = iota
	fromOldest
	fromSnapshot
	fromPosition
)

var (
	// Latest begins with the first message published after the Reader joined.
	Latest = Start{}
	// Oldest begins with the oldest message in the publisher's ring.
	Oldest = Start{kind: fromOldest}
	// Snapshot begins with a snapshot of the publisher's state.
	Snapshot = Start{kind: fromSnapshot}
)

// After begins behind p, a position that an earlier Reader reported. If the
// publisher restarted since, the Reader yields a Restart event first. If
// messages behind p are no longer in the publisher's ring, it yields a snapshot
// or, where the publisher has none, a Gap event.
func After(p Position) Start { return Start{kind: fromPosition, at: p} }
