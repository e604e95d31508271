package feed

import (
	"encoding/binary"
	"errors"
	"fmt"

	"lintel.dev/zmq"
)

// bitcoinDialect reads Bitcoin Core's notifications of one topic:
// [topic, body, sequence 4 little-endian].
type bitcoinDialect struct {
	lives
	topic string
	last  uint64 // Position.Seq of the latest; 0 before the first
}

func (d *bitcoinDialect) publication(m zmq.Msg) (publication, error) {
	if len(m) != 3 || len(m[2]) != 4 || string(m[0]) != d.topic {
		return publication{}, fmt.Errorf("%w: notification of %d frames", errMalformed, len(m))
	}
	n := binary.LittleEndian.Uint32(m[2])
	// Numbers wrap at 2^32: one that goes back by less than half of that is a
	// restart, one that goes forward is not.
	if ahead := int32(n - uint32(d.last-1)); d.last > 0 && ahead > 0 {
		d.last += uint64(ahead)
	} else {
		if d.last > 0 {
			d.restarted()
		}
		d.last = uint64(n) + 1
	}
	return publication{header{epoch: d.epoch, seq: d.last}, m[0], m[1:2]}, nil
}

func (d *bitcoinDialect) reply(zmq.Msg) (control, error)  { return control{}, errors.ErrUnsupported }
func (d *bitcoinDialect) request(control) (zmq.Msg, bool) { return nil, false }

// bitcoinLive encodes a notification with the number n of its topic.
func bitcoinLive(e entry, n uint32) zmq.Msg {
	return zmq.Msg{e.topic, e.payload, binary.LittleEndian.AppendUint32(nil, n)}
}
