package feed

import (
	"fmt"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
)

// Format is a wire format.
type Format uint8

const (
	// Native is the format of this package: everything that it documents.
	Native Format = iota

	// VLLM is that of vLLM's KV-cache events since its version 0.26:
	// publications [topic, sequence, payload] and replays with the topic. Its
	// numbers begin at 0: Position.Seq is that of the wire plus one. There is no
	// epoch: a Reader takes a number that goes back for a restart, and does not
	// notice a restarted publisher whose numbers are past the old ones. There
	// are no heartbeats: a Reader asks for a replay of what it has not seen, four
	// times in MaxStale, and is live when that ends. A Reader of any VLLM format
	// accepts what a publisher of each of them sends.
	VLLM

	// VLLMNoTopic is VLLM with the replays of versions before 0.26, which have
	// no topic.
	VLLMNoTopic

	// VLLMEpoch is VLLM with an epoch behind each sequence number, heartbeats
	// with numbers of their own, and snapshots on an endpoint of their own.
	VLLMEpoch

	// Bitcoin is that of Bitcoin Core's notifications: [topic, body, sequence],
	// numbered for each topic. A Source follows one topic. There is no control
	// channel: every loss is a Gap. Position.Seq is the wire's sequence plus one,
	// and goes on where the wire's wraps at 2^32.
	Bitcoin
)

var formatNames = [...]string{"native", "vllm", "vllm-notopic", "vllm-epoch", "bitcoin"}

// String returns the name that ParseFormat takes.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// ParseFormat returns the format with this name: native, vllm, vllm-notopic,
// vllm-epoch or bitcoin.
func ParseFormat(name string) (Format, error) {
	for i, n := range formatNames {
		if n == name {
			return Format(i), nil
		}
	}
	return 0, fmt.Errorf("feed: format %q: want one of %q", name, formatNames)
}

func (f Format) vllm() bool { return f == VLLM || f == VLLMNoTopic || f == VLLMEpoch }

// dialect translates between a source's wire format and what the follower
// works with.
type dialect interface {
	// publication parses a live message.
	publication(m zmq.Msg) (publication, error)
	// reply parses a message of the control channel.
	reply(m zmq.Msg) (control, error)
	// request encodes what the follower asks. It reports false for what the
	// format does not have.
	request(c control) (zmq.Msg, bool)
}

// dialect returns the reader's side of the format for one source.
func (s Source) dialect() dialect {
	life := lives{epoch: sequence.Epoch{7: 1}}
	if s.From.kind == fromPosition && s.From.at.Epoch != (Epoch{}) {
		life.epoch = sequence.Epoch(s.From.at.Epoch)
	}
	switch {
	case s.Format.vllm():
		return &vllmDialect{lives: life}
	case s.Format == Bitcoin:
		return &bitcoinDialect{lives: life, topic: s.Topic}
	}
	return nativeDialect{}
}

// nativeDialect is the format of wire.go.
type nativeDialect struct{}

func (nativeDialect) publication(m zmq.Msg) (publication, error) { return parsePublication(m) }
func (nativeDialect) reply(m zmq.Msg) (control, error)           { return parseControl(m) }
func (nativeDialect) request(c control) (zmq.Msg, bool)          { return c.message(), true }

// lives makes epochs for formats that have none: the next number of a publisher
// that seems to have restarted. A Reader that resumes begins with the one of its
// position.
type lives struct{ epoch sequence.Epoch }

func (l *lives) restarted() {
	for i := 7; i >= 0; i-- {
		if l.epoch[i]++; l.epoch[i] != 0 {
			return
		}
	}
}

// DetectFormat returns the format of a live message, as far as it shows:
// VLLM for VLLMNoTopic, which differs in replays only. It reports false for a
// message in none of the formats.
func DetectFormat(m zmq.Msg) (Format, bool) {
	if len(m) < 2 {
		return 0, false
	}
	if _, err := parsePublication(m); err == nil {
		return Native, true
	}
	if len(m) != 3 {
		return 0, false
	}
	switch {
	case len(m[1]) == vllmLongSize:
		return VLLMEpoch, true
	case len(m[1]) == vllmSeqSize: // no notification of Bitcoin's has a body of this size
		return VLLM, true
	case len(m[2]) == 4:
		return Bitcoin, true
	}
	return 0, false
}
