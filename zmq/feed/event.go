package feed

import (
	"fmt"
	"time"
)

// Kind says what an Event is.
type Kind uint8

const (
	// Message is a message of the feed.
	Message Kind = iota
	// Gap says that messages From to To, inclusive, are lost: they left the
	// publisher's ring before they could be replayed, and there is no snapshot.
	Gap
	// Restart says that the publisher restarted. Everything known of its state
	// is void. The messages of the new epoch follow from its first.
	Restart
	// SnapshotBegin says that a snapshot follows and replaces all state.
	// Position is its cut.
	SnapshotBegin
	// SnapshotItem is one item of a snapshot, with Topic and Payload.
	SnapshotItem
	// SnapshotEnd says that the snapshot is complete. Messages behind its cut
	// follow.
	SnapshotEnd
	// Live says that everything the publisher published up to Time has been
	// yielded, and that this will stay so within the reader's MaxStale until a
	// Stale event.
	Live
	// Stale says that the state may be older than MaxStale: the publisher does
	// not answer, or the reader is behind.
	Stale
)

var kindNames = [...]string{"message", "gap", "restart", "snapshot-begin", "snapshot-item", "snapshot-end", "live", "stale"}

// String returns the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Event is what a Reader yields. The caller may keep its slices.
type Event struct {
	Kind     Kind
	Source   string    // Name of the source
	Position Position  // of the message, or the last one yielded
	Topic    []byte    // of Message and SnapshotItem
	Payload  []byte    // of Message and SnapshotItem
	Time     time.Time // of a Message: when it was published, by the publisher's clock; of Live: see Live
	From, To uint64    // of Gap
}

// Stats counts what happened to a source since the Reader was opened.
type Stats struct {
	Messages   uint64 // yielded, replayed ones included
	Replayed   uint64 // of these, those that were replayed
	Duplicates uint64 // dropped: yielded before, or of a former epoch
	Gaps       uint64 // Gap events
	Lost       uint64 // messages inside them
	Replays    uint64 // replay requests
	Snapshots  uint64 // snapshot requests
	Restarts   uint64 // Restart events
	Malformed  uint64 // messages dropped because they did not follow the protocol
	Backwards  uint64 // heartbeats and answers with a number below one seen before
	Refused    uint64 // requests that the publisher refused
	Timeouts   uint64 // requests that were not answered in time
}
