package pgm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// noMessage in the offset field of a unit says that no message starts in it.
const noMessage = 0xffff

// offsetLen is the length of the first field of each unit. The field is the
// offset of the first message that starts in the bytes after it. A receiver
// that joins in mid-stream or lost packets begins there.
const offsetLen = 2

// Packer packs the frames of messages, in ZMTP 1.0 framing, into units of a
// bounded size. NewPacker creates one.
type Packer struct {
	max   int
	unit  []byte
	first int  // offset of the first message that starts in the unit
	amid  bool // the current message has frames to come
}

// NewPacker returns a Packer for units of at most max bytes, including the
// offset field.
func NewPacker(max int) *Packer {
	p := &Packer{max: max}
	p.reset()
	return p
}

func (p *Packer) reset() {
	p.unit = append(p.unit[:0], 0xff, 0xff)
	p.first = noMessage
}

// Add adds the next frame of a message to the unit and calls emit with each
// unit that became full. more says that the message has further frames. The
// unit belongs to the Packer and is only valid during the call.
func (p *Packer) Add(frame []byte, more bool, emit func(unit []byte) error) error {
	var head [10]byte
	h := head[:0]
	if n := uint64(len(frame)) + 1; n < 0xff {
		h = append(h, byte(n))
	} else {
		h = append(h, 0xff)
		h = binary.BigEndian.AppendUint64(h, n)
	}
	var flags byte
	if more {
		flags = 1
	}
	h = append(h, flags)
	starts := !p.amid
	p.amid = more
	for _, part := range [2][]byte{h, frame} {
		for len(part) > 0 {
			if len(p.unit) == p.max {
				if err := p.Flush(emit); err != nil {
					return err
				}
			}
			if starts {
				starts = false
				if p.first == noMessage {
					p.first = len(p.unit) - offsetLen
				}
			}
			n := min(len(part), p.max-len(p.unit))
			p.unit = append(p.unit, part[:n]...)
			part = part[n:]
		}
	}
	return nil
}

// Flush emits the unit that is not full, if it is not empty.
func (p *Packer) Flush(emit func(unit []byte) error) error {
	if len(p.unit) == offsetLen {
		return nil
	}
	binary.BigEndian.PutUint16(p.unit, uint16(p.first))
	err := emit(p.unit)
	p.reset()
	return err
}

// ErrMessageTooLarge is the error for a message over Unpacker.MaxMessage. It
// ends the stream of the source.
var ErrMessageTooLarge = errors.New("pgm: message too large")

var errUnit = errors.New("pgm: bad data unit")

// maxFrames bounds the frames of one message, because even an empty frame needs
// memory.
const maxFrames = 4096

// Unpacker unpacks the units of one source, in order, into messages. After a
// loss call Reset: it then skips to the next unit in which a message starts.
type Unpacker struct {
	// MaxMessage bounds the bytes of all frames of a message together.
	MaxMessage int64

	joined bool
	head   []byte // a frame header not complete yet
	left   uint64 // body bytes still to come
	inBody bool
	more   bool
	frame  []byte   // the part of a frame that earlier units held
	frames [][]byte // those before own are not in the current unit
	own    int
	size   int64
}

// Reset forgets the message in progress.
func (u *Unpacker) Reset() {
	*u = Unpacker{MaxMessage: u.MaxMessage}
}

// Add unpacks one unit and calls yield with each message that is complete. Its
// frames are valid during the call. An error leaves u reset.
func (u *Unpacker) Add(unit []byte, yield func(frames [][]byte)) error {
	err := u.add(unit, yield)
	if err != nil {
		u.Reset()
		return err
	}
	for ; u.own < len(u.frames); u.own++ {
		u.frames[u.own] = bytes.Clone(u.frames[u.own])
	}
	return nil
}

func (u *Unpacker) add(unit []byte, yield func(frames [][]byte)) error {
	if len(unit) < offsetLen {
		return fmt.Errorf("%w: %d bytes", errUnit, len(unit))
	}
	first := int(binary.BigEndian.Uint16(unit))
	b := unit[offsetLen:]
	if first != noMessage && first > len(b) {
		return fmt.Errorf("%w: first message at %d of %d bytes", errUnit, first, len(b))
	}
	if !u.joined {
		if first == noMessage {
			return nil
		}
		b = b[first:]
		u.joined = true
	}
	for len(b) > 0 {
		if !u.inBody {
			if len(u.head) == 0 && len(b) >= 2 && b[0] != 0xff {
				if err := u.begin(uint64(b[0]), b[1]); err != nil {
					return err
				}
				b = b[2:]
			} else {
				u.head = append(u.head, b[0])
				b = b[1:]
				if err := u.header(); err != nil {
					return err
				}
			}
			if !u.inBody || u.left > 0 && len(b) == 0 {
				continue
			}
		}
		n := min(uint64(len(b)), u.left)
		u.left -= n
		switch {
		case u.left > 0:
			u.frame = append(u.frame, b[:n]...)
		case len(u.frame) > 0:
			u.endFrame(append(u.frame, b[:n]...), true, yield)
		default:
			u.endFrame(b[:n:n], false, yield)
		}
		b = b[n:]
	}
	return nil
}

// header starts the body of a frame once u.head has a whole frame header.
func (u *Unpacker) header() error {
	switch {
	case u.head[0] != 0xff && len(u.head) == 2:
		return u.begin(uint64(u.head[0]), u.head[1])
	case u.head[0] == 0xff && len(u.head) == 10:
		return u.begin(binary.BigEndian.Uint64(u.head[1:]), u.head[9])
	case u.head[0] == 0:
		return fmt.Errorf("%w: frame of length 0", errUnit)
	}
	return nil
}

// begin starts the body of a frame; size includes the octet of the flags.
func (u *Unpacker) begin(size uint64, flags byte) error {
	if size == 0 {
		return fmt.Errorf("%w: frame of length 0", errUnit)
	}
	u.left = size - 1
	if u.left > uint64(max(u.MaxMessage-u.size, 0)) {
		return fmt.Errorf("%w: a frame of %d bytes, %d allowed", ErrMessageTooLarge, u.left, u.MaxMessage)
	}
	if len(u.frames) == maxFrames {
		return fmt.Errorf("%w: more than %d frames", ErrMessageTooLarge, maxFrames)
	}
	u.size += int64(u.left)
	u.more = flags&1 != 0
	u.head = u.head[:0]
	u.inBody = true
	return nil
}

// keepFrame is the largest buffer kept for the next frame of several units, and
// keepFrames the longest list of frames kept for the next message.
const (
	keepFrame  = 64 << 10
	keepFrames = 64
)

// endFrame ends a frame, whose body is either in u.frame, joined from several
// units, or in the current unit.
func (u *Unpacker) endFrame(frame []byte, parts bool, yield func([][]byte)) {
	u.frames = append(u.frames, frame)
	u.inBody = false
	if u.more {
		if parts {
			u.frame = nil
		}
		return
	}
	if parts {
		u.frame = frame[:0]
	}
	yield(u.frames)
	if cap(u.frame) > keepFrame {
		u.frame = nil
	}
	if clear(u.frames); cap(u.frames) > keepFrames {
		u.frames = nil
	}
	u.frames, u.own, u.size = u.frames[:0], 0, 0
}
