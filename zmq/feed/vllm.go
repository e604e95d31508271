package feed

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
)

// vLLM's KV-cache events. All integers are big-endian, numbers begin at 0.
//
//	live      [topic, sequence 8, payload]
//	          [topic, sequence 8 + epoch 16, payload]         VLLMEpoch
//	request   ["", start 8] from a DEALER, [start 8] from a REQ
//	reply     ["", topic, sequence 8, payload] ..., and at the end the sequence
//	          2^64-1 with an empty payload; VLLMNoTopic has no topic frame
//	snapshot  ["", "snapshot"] on an endpoint of its own; the reply is
//	          ["", cut 8 signed, epoch 16, chunk ...]: cut is -1 for a snapshot of
//	          nothing, and less where there is none
//
// A replay begins at the oldest message held, without a word, if the start is
// older, and goes on to the latest.
const (
	vllmEnd      = math.MaxUint64
	vllmSeqSize  = 8
	vllmLongSize = 24
	vllmSnapshot = "snapshot"
)

// vllmDialect reads vLLM's formats, whichever of them the publisher speaks.
type vllmDialect struct {
	lives
	last uint64 // highest number seen live, plus one; 0 before the first
	id   uint32 // of the request that replies belong to
}

func (d *vllmDialect) publication(m zmq.Msg) (publication, error) {
	if len(m) != 3 || len(m[1]) != vllmSeqSize && len(m[1]) != vllmLongSize {
		return publication{}, fmt.Errorf("%w: vLLM publication of %d frames", errMalformed, len(m))
	}
	n := binary.BigEndian.Uint64(m[1])
	if n >= math.MaxUint64-1 {
		return publication{}, fmt.Errorf("%w: vLLM sequence %d", errMalformed, n)
	}
	p := publication{header{seq: n + 1, time: time.Time{}}, m[0], m[2:]}
	if len(m[1]) == vllmLongSize {
		p.epoch = sequence.Epoch(m[1][8:])
		p.filler = len(m[2]) == 0
		return p, nil
	}
	if p.seq <= d.last {
		d.restarted()
	}
	d.last = p.seq
	p.epoch = d.epoch
	return p, nil
}

func (d *vllmDialect) reply(m zmq.Msg) (control, error) {
	if len(m) < 3 || len(m[0]) != 0 || len(m) > 4 || len(m[len(m)-2]) < vllmSeqSize {
		return control{}, fmt.Errorf("%w: vLLM replay reply of %d frames", errMalformed, len(m))
	}
	c := control{cmd: cmdData, id: d.id, payload: m[len(m)-1]}
	if len(m) == 4 {
		c.topic = m[1]
	}
	n := binary.BigEndian.Uint64(m[len(m)-2])
	if n == vllmEnd {
		return control{cmd: cmdEnd, id: d.id}, nil
	}
	c.seq = n + 1
	return c, nil
}

func (d *vllmDialect) request(c control) (zmq.Msg, bool) {
	if c.cmd != cmdRange {
		return nil, false
	}
	d.id = c.id
	return zmq.Msg{nil, binary.BigEndian.AppendUint64(nil, c.from-1)}, true
}

// parseVLLMSnapshot returns a snapshot reply as the control messages that it
// stands for.
func parseVLLMSnapshot(id uint32, m zmq.Msg) ([]control, error) {
	if len(m) > 0 && len(m[0]) == 0 {
		m = m[1:]
	}
	if len(m) < 2 || len(m[0]) != 8 || len(m[1]) != 16 {
		return nil, fmt.Errorf("%w: vLLM snapshot reply of %d frames", errMalformed, len(m))
	}
	cut := int64(binary.BigEndian.Uint64(m[0]))
	epoch := sequence.Epoch(m[1])
	if cut < -1 {
		return []control{{cmd: cmdTooOld, id: id, epoch: epoch}}, nil
	}
	all := []control{{cmd: cmdCut, id: id, epoch: epoch, seq: uint64(cut + 1)}}
	for _, chunk := range m[2:] {
		all = append(all, control{cmd: cmdItem, id: id, payload: chunk})
	}
	return append(all, control{cmd: cmdEnd, id: id}), nil
}

// vllmLive encodes a live message.
func (f Format) vllmLive(epoch sequence.Epoch, e entry) zmq.Msg {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, vllmLongSize), e.seq-1)
	if f == VLLMEpoch {
		head = append(head, epoch[:]...)
	}
	return zmq.Msg{e.topic, head, e.payload}
}

// vllmReply encodes a message of a replay for the ROUTER; the end with a zero
// entry.
func (f Format) vllmReply(peer string, e entry) zmq.Msg {
	m := zmq.Msg{[]byte(peer), nil}
	if f != VLLMNoTopic {
		m = append(m, e.topic)
	}
	return append(m, binary.BigEndian.AppendUint64(nil, e.seq-1), e.payload) // 0-1 is the end's number
}

// parseVLLMRequest returns the number from which a replay is asked for.
func parseVLLMRequest(m zmq.Msg) (from uint64, ok bool) {
	if len(m) != 2 || len(m[0]) != 0 || len(m[1]) != vllmSeqSize {
		return 0, false
	}
	n := binary.BigEndian.Uint64(m[1])
	return n + 1, n < math.MaxUint64
}
