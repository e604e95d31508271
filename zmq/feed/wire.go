package feed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lintel.dev/internal/sequence"
	"lintel.dev/zmq"
)

// The wire. All integers are big-endian.
//
// A publication is [topic, header, payload, payload ...]: a batch of messages
// with one topic and consecutive numbers, of which the header has the first. A
// heartbeat has an empty topic, no payload, and the number of the last message.
//
//	header: version 1, flags 1, reserved 6, epoch 16, sequence 8, time 8
//
// The time is that of publication in nanoseconds since 1970, for information.
//
// The control channel is a DEALER at the reader and a ROUTER at the publisher.
// The first frame of a message is its command, an octet, and its arguments.
//
//	PING      nonce 8
//	RANGE     id 4, epoch 16, from 8, to 8    messages from to to, inclusive
//	SNAPSHOT  id 4
//	MORE      id 4, messages 8, octets 8      received so far, in all
//	CANCEL    id 4
//	INFO      nonce 8, epoch 16, first 8, last 8, flags 1
//	DATA      id 4, sequence 8, time 8        and the frames topic, payload
//	ITEM      id 4                            and the frames topic, payload
//	CUT       id 4, epoch 16, cut 8           a snapshot begins
//	END       id 4, next 8
//	TOOOLD    id 4, epoch 16, first 8, last 8, flags 1
//	NO        id 4                            and the frame reason
//
// TOOOLD answers a RANGE whose messages have left the ring, one of another epoch,
// and a SNAPSHOT where there is none. NO asks the reader to try again later.
//
// The publisher has at most windowMessages messages and windowOctets octets of
// a request outstanding. MORE opens the window.
const (
	wireVersion = 1
	headerSize  = 40

	flagHeartbeat = 1 << 0 // of a header
	flagSnapshot  = 1 << 0 // of INFO and TOOOLD: the publisher has snapshots

	windowMessages = 256
	windowOctets   = 1 << 20
)

type command byte

const (
	cmdPing command = 1 + iota
	cmdRange
	cmdSnapshot
	cmdMore
	cmdCancel
)

const (
	cmdInfo command = 0x81 + iota
	cmdData
	cmdItem
	cmdCut
	cmdEnd
	cmdTooOld
	cmdNo
)

// commandForm is how a command looks: the octets behind its first, and the
// frames behind its first.
var commandForm = map[command]struct{ octets, frames int }{
	cmdPing: {8, 0}, cmdRange: {36, 0}, cmdSnapshot: {4, 0}, cmdMore: {20, 0}, cmdCancel: {4, 0},
	cmdInfo: {41, 0}, cmdData: {20, 2}, cmdItem: {4, 2}, cmdCut: {28, 0}, cmdEnd: {12, 0}, cmdTooOld: {37, 0}, cmdNo: {4, 1},
}

// header is what a publication says of itself.
type header struct {
	heartbeat bool
	filler    bool // has a number and nothing for the user: a heartbeat of VLLMEpoch
	epoch     sequence.Epoch
	seq       uint64
	time      time.Time
}

func (h header) append(b []byte) []byte {
	var flags byte
	if h.heartbeat {
		flags = flagHeartbeat
	}
	b = append(b, wireVersion, flags, 0, 0, 0, 0, 0, 0)
	b = append(b, h.epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, h.seq)
	return binary.BigEndian.AppendUint64(b, uint64(h.time.UnixNano()))
}

var errMalformed = errors.New("feed: malformed message")

func parseHeader(b []byte) (header, error) {
	switch {
	case len(b) != headerSize:
		return header{}, fmt.Errorf("%w: header of %d octets, want %d", errMalformed, len(b), headerSize)
	case b[0] != wireVersion:
		return header{}, fmt.Errorf("%w: version %d, want %d", errMalformed, b[0], wireVersion)
	}
	return header{
		heartbeat: b[1]&flagHeartbeat != 0,
		epoch:     sequence.Epoch(b[8:24]),
		seq:       binary.BigEndian.Uint64(b[24:]),
		time:      time.Unix(0, int64(binary.BigEndian.Uint64(b[32:]))),
	}, nil
}

// publication is a parsed publication. Its slices are those of the message.
type publication struct {
	header
	topic    []byte
	payloads [][]byte
}

func parsePublication(m zmq.Msg) (publication, error) {
	if len(m) < 2 {
		return publication{}, fmt.Errorf("%w: publication of %d frames, want at least 2", errMalformed, len(m))
	}
	h, err := parseHeader(m[1])
	if err != nil {
		return publication{}, err
	}
	p := publication{h, m[0], m[2:]}
	switch n := uint64(len(p.payloads)); {
	case h.heartbeat != (n == 0):
		return publication{}, fmt.Errorf("%w: publication with %d payloads, heartbeat is %t", errMalformed, n, h.heartbeat)
	case !h.heartbeat && (h.seq == 0 || h.seq+n < h.seq):
		return publication{}, fmt.Errorf("%w: sequence %d with %d payloads", errMalformed, h.seq, n)
	case h.epoch == (sequence.Epoch{}):
		return publication{}, fmt.Errorf("%w: no epoch", errMalformed)
	}
	return p, nil
}

// control is a parsed message of the control channel. Which fields mean
// something depends on the command.
type control struct {
	cmd      command
	nonce    uint64
	id       uint32
	epoch    sequence.Epoch
	from, to uint64 // of RANGE; first and last of INFO and TOOOLD
	seq      uint64 // of DATA; cut of CUT; next of END; messages of MORE
	octets   uint64 // of MORE
	time     time.Time
	snapshot bool
	topic    []byte // of DATA and ITEM
	payload  []byte // of DATA and ITEM; reason of NO
}

// message encodes c.
func (c control) message() zmq.Msg {
	b := make([]byte, 1, 48)
	b[0] = byte(c.cmd)
	u32 := func(n uint32) { b = binary.BigEndian.AppendUint32(b, n) }
	u64 := func(n uint64) { b = binary.BigEndian.AppendUint64(b, n) }
	flags := func() {
		if c.snapshot {
			b = append(b, flagSnapshot)
		} else {
			b = append(b, 0)
		}
	}
	switch c.cmd {
	case cmdPing:
		u64(c.nonce)
	case cmdInfo:
		u64(c.nonce)
		b = append(b, c.epoch[:]...)
		u64(c.from)
		u64(c.to)
		flags()
	default:
		u32(c.id)
	}
	switch c.cmd {
	case cmdRange:
		b = append(b, c.epoch[:]...)
		u64(c.from)
		u64(c.to)
	case cmdMore:
		u64(c.seq)
		u64(c.octets)
	case cmdData:
		u64(c.seq)
		u64(uint64(c.time.UnixNano()))
		return zmq.Msg{b, c.topic, c.payload}
	case cmdItem:
		return zmq.Msg{b, c.topic, c.payload}
	case cmdCut:
		b = append(b, c.epoch[:]...)
		u64(c.seq)
	case cmdEnd:
		u64(c.seq)
	case cmdTooOld:
		b = append(b, c.epoch[:]...)
		u64(c.from)
		u64(c.to)
		flags()
	case cmdNo:
		return zmq.Msg{b, c.payload}
	}
	return zmq.Msg{b}
}

// parseControl parses m. The slices of the result are those of m.
func parseControl(m zmq.Msg) (control, error) {
	if len(m) == 0 || len(m[0]) == 0 {
		return control{}, fmt.Errorf("%w: control message without a command", errMalformed)
	}
	c := control{cmd: command(m[0][0])}
	form, ok := commandForm[c.cmd]
	b := m[0][1:]
	switch {
	case !ok:
		return control{}, fmt.Errorf("%w: unknown command %#x", errMalformed, byte(c.cmd))
	case len(b) != form.octets || len(m) != 1+form.frames:
		return control{}, fmt.Errorf("%w: command %#x with %d octets and %d frames, want %d and %d",
			errMalformed, byte(c.cmd), len(b), len(m)-1, form.octets, form.frames)
	}
	u64 := func() uint64 {
		n := binary.BigEndian.Uint64(b)
		b = b[8:]
		return n
	}
	epoch := func() {
		c.epoch = sequence.Epoch(b[:16])
		b = b[16:]
	}
	bounds := func() {
		epoch()
		c.from, c.to = u64(), u64()
	}
	if c.cmd == cmdPing || c.cmd == cmdInfo {
		c.nonce = u64()
	} else {
		c.id = binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	switch c.cmd {
	case cmdRange:
		bounds()
	case cmdInfo, cmdTooOld:
		bounds()
		c.snapshot = b[0]&flagSnapshot != 0
	case cmdMore:
		c.seq, c.octets = u64(), u64()
	case cmdData:
		c.seq, c.time = u64(), time.Unix(0, int64(u64()))
		c.topic, c.payload = m[1], m[2]
	case cmdItem:
		c.topic, c.payload = m[1], m[2]
	case cmdCut:
		epoch()
		c.seq = u64()
	case cmdEnd:
		c.seq = u64()
	case cmdNo:
		c.payload = m[1]
	}
	return c, nil
}
