package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"

	"lintel.dev/internal/sequence"
)

// ErrMessage is wrapped by the errors for messages and answers that this package
// does not understand.
var ErrMessage = errors.New("nearcache: invalid message")

// The bounds of a message and of a fence.
const (
	MaxRecords  = 4096 // of a message
	MaxLanes    = 256
	MaxFeeds    = 16  // endpoints of a fence
	MaxEndpoint = 255 // octets of one
	MaxPrefix   = 250 // octets of the prefix of a FlushPrefix: those of a key
)

// Sizes in octets.
const (
	TopicSize  = 3
	HeaderSize = 30
	RecordSize = 9 // without a prefix
)

// Topic is the prefix of all topics: what a receiver subscribes to.
const Topic = "i"

const version = 1

// Op is the kind of a change.
type Op uint8

// The operations of records. The package comment describes them.
const (
	Changed Op = 1 + iota
	Deleted
	Touched
	FlushAll
	FlushPrefix
	Lost
)

// Hash returns the hash of a key in a record: XXH64 with seed 0.
func Hash(key []byte) uint64 { return xxhash.Sum64(key) }

// Header describes a message.
type Header struct {
	Lane  int // 0 to MaxLanes-1
	Epoch sequence.Epoch
	First uint64 // number of the first record; of a heartbeat, of the last change
	Count int    // of records, 0 to MaxRecords
}

// Heartbeat reports whether the message has no records.
func (h *Header) Heartbeat() bool { return h.Count == 0 }

// Last returns the number of the lane's last change that the message tells of.
func (h *Header) Last() uint64 {
	if h.Count == 0 {
		return h.First
	}
	return h.First + uint64(h.Count) - 1
}

// Record is one change.
type Record struct {
	Op     Op
	Hash   uint64 // of the key, 0 without one
	Prefix []byte // of a FlushPrefix, 1 to MaxPrefix octets
}

// AppendTopic appends the topic frame of a lane.
func AppendTopic(dst []byte, lane int) []byte {
	return binary.BigEndian.AppendUint16(append(dst, Topic...), uint16(lane))
}

// AppendHeader appends a header frame. h must be within its bounds.
func AppendHeader(dst []byte, h *Header) []byte {
	dst = append(dst, version, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Lane))
	dst = append(dst, h.Epoch[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.First)
	return binary.BigEndian.AppendUint16(dst, uint16(h.Count))
}

// AppendRecord appends a record to a records frame. r must be within its bounds.
func AppendRecord(dst []byte, r Record) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, byte(r.Op)), r.Hash)
	if r.Op == FlushPrefix {
		dst = append(append(dst, byte(len(r.Prefix))), r.Prefix...)
	}
	return dst
}

// Decode decodes the frames of a message and appends its records to into, which may
// be nil. Prefixes are part of the frames. After an error, which wraps ErrMessage,
// the records are into. What it allocates is bounded by MaxRecords and by a
// multiple of the frames' size.
func Decode(frames [][]byte, into []Record) (Header, []Record, error) {
	if len(frames) != 3 {
		return Header{}, into, fmt.Errorf("%w: %d frames, expected 3", ErrMessage, len(frames))
	}
	h, err := decodeHeader(frames[0], frames[1])
	if err != nil {
		return Header{}, into, err
	}
	rest := frames[2]
	if len(rest) < h.Count*RecordSize {
		return Header{}, into, fmt.Errorf("%w: %d octets for %d records, expected at least %d", ErrMessage, len(rest), h.Count, h.Count*RecordSize)
	}
	out := into
	if free := cap(out) - len(out); free < h.Count {
		out = append(make([]Record, 0, len(out)+h.Count), out...)
	}
	for range h.Count {
		var r Record
		if r, rest, err = decodeRecord(rest); err != nil {
			return Header{}, into, err
		}
		out = append(out, r)
	}
	if len(rest) > 0 {
		return Header{}, into, fmt.Errorf("%w: %d octets behind the last record, expected none", ErrMessage, len(rest))
	}
	return h, out, nil
}

func decodeHeader(topic, b []byte) (Header, error) {
	switch {
	case len(topic) != TopicSize || topic[0] != Topic[0]:
		return Header{}, fmt.Errorf("%w: topic %.20q, expected %q and a lane of 2 octets", ErrMessage, topic, Topic)
	case len(b) != HeaderSize:
		return Header{}, fmt.Errorf("%w: header of %d octets, expected %d", ErrMessage, len(b), HeaderSize)
	case b[0] != version:
		return Header{}, fmt.Errorf("%w: version %d, expected %d", ErrMessage, b[0], version)
	}
	h := Header{
		Lane:  int(binary.BigEndian.Uint16(b[2:])),
		Epoch: sequence.Epoch(b[4:20]),
		First: binary.BigEndian.Uint64(b[20:]),
		Count: int(binary.BigEndian.Uint16(b[28:])),
	}
	switch {
	case h.Lane != int(binary.BigEndian.Uint16(topic[1:])):
		return Header{}, fmt.Errorf("%w: lane %d under the topic %q", ErrMessage, h.Lane, topic)
	case h.Lane >= MaxLanes:
		return Header{}, fmt.Errorf("%w: lane %d, expected less than %d", ErrMessage, h.Lane, MaxLanes)
	case h.Epoch == sequence.Epoch{}:
		return Header{}, fmt.Errorf("%w: the epoch is zero", ErrMessage)
	case h.Count > MaxRecords:
		return Header{}, fmt.Errorf("%w: %d records, expected at most %d", ErrMessage, h.Count, MaxRecords)
	case h.Count > 0 && (h.First == 0 || h.First > math.MaxUint64-MaxRecords):
		return Header{}, fmt.Errorf("%w: number %d of the first record, expected 1 to 2^64-%d", ErrMessage, h.First, MaxRecords)
	}
	return h, nil
}

func decodeRecord(b []byte) (r Record, rest []byte, err error) {
	if len(b) < RecordSize {
		return Record{}, nil, fmt.Errorf("%w: record of %d octets, expected at least %d", ErrMessage, len(b), RecordSize)
	}
	r = Record{Op: Op(b[0]), Hash: binary.BigEndian.Uint64(b[1:])}
	rest = b[RecordSize:]
	switch {
	case r.Op < Changed || r.Op > Lost:
		return Record{}, nil, fmt.Errorf("%w: operation %d, expected %d to %d", ErrMessage, r.Op, Changed, Lost)
	case r.Op != FlushPrefix:
		return r, rest, nil
	case len(rest) == 0:
		return Record{}, nil, fmt.Errorf("%w: a prefix without a length", ErrMessage)
	}
	n := int(rest[0])
	if rest = rest[1:]; n == 0 || n > MaxPrefix || n > len(rest) {
		return Record{}, nil, fmt.Errorf("%w: prefix of %d octets with %d left, expected 1 to %d", ErrMessage, n, len(rest), MaxPrefix)
	}
	r.Prefix = rest[:n:n]
	return r, rest[n:], nil
}
