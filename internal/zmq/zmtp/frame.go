package zmtp

import (
	"encoding/binary"
	"math"
)

// The flags of a frame. FlagLong is part of the layout of its header only.
const (
	FlagMore    = 1 << 0 // more frames of the message follow
	FlagLong    = 1 << 1 // the size takes eight bytes
	FlagCommand = 1 << 2 // the body is a command
)

// Framing is a layout of frames. Framing1 is that of ZMTP 1.0: the length comes
// first and includes the flags. Framing2 is that of ZMTP 2.0 and later.
type Framing uint8

// The two layouts.
const (
	Framing1 Framing = 1
	Framing2 Framing = 2
)

// MaxHeader is the length of the longest frame header in either layout.
const MaxHeader = 10

// maxFrame is chosen so that a size plus any header and seal fits into an int.
const maxFrame = math.MaxInt - 4096

// Header is the front of a frame.
type Header struct {
	Flags byte // FlagLong left out
	Size  int  // bytes of the body
}

// More reports whether another frame of the same message follows.
func (h Header) More() bool { return h.Flags&FlagMore != 0 }

// Command reports whether the body is a command and not part of a message.
func (h Header) Command() bool { return h.Flags&FlagCommand != 0 }

// ParseHeader reads the header at the front of b. n is its length, 0 when b
// ends before it does. A body of more than max bytes is an *Error; the check
// comes before any other use of the size. A negative max allows what an int
// holds. Reserved flag bits are dropped, as libzmq does.
func (f Framing) ParseHeader(b []byte, max int64) (h Header, n int, err error) {
	if f == Framing1 {
		return parseHeader1(b, max)
	}
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	flags := b[0]
	if flags&FlagLong == 0 {
		size := int(b[1])
		if max >= 0 && int64(size) > max {
			return Header{}, 0, tooLong(uint64(size), max)
		}
		return Header{Flags: flags & (FlagMore | FlagCommand), Size: size}, 2, nil
	}
	if len(b) < 9 {
		return Header{}, 0, nil
	}
	size := binary.BigEndian.Uint64(b[1:])
	if size > maxFrame || max >= 0 && size > uint64(max) {
		return Header{}, 0, tooLong(size, max)
	}
	return Header{Flags: flags & (FlagMore | FlagCommand), Size: int(size)}, 9, nil
}

func parseHeader1(b []byte, max int64) (h Header, n int, err error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	size, n := uint64(b[0]), 2
	if b[0] == 0xff {
		if len(b) < 10 {
			return Header{}, 0, nil
		}
		size, n = binary.BigEndian.Uint64(b[1:]), 10
	}
	if size == 0 {
		return Header{}, 0, errorf(CodeUnspecified, "frame of length 0, expected at least the flags")
	}
	size--
	if size > maxFrame || max >= 0 && size > uint64(max) {
		return Header{}, 0, tooLong(size, max)
	}
	return Header{Flags: b[n-1] & FlagMore, Size: int(size)}, n, nil
}

func tooLong(size uint64, max int64) error {
	if max < 0 {
		max = maxFrame
	}
	return errorf(CodeUnspecified, "frame of %d bytes, expected at most %d", size, max)
}

// HeaderSize returns the length of the header that AppendHeader appends for a
// body of size bytes.
func (f Framing) HeaderSize(size int) int {
	switch {
	case f == Framing1 && size < 0xfe:
		return 2
	case f == Framing1:
		return 10
	case size <= 0xff:
		return 2
	}
	return 9
}

// AppendHeader appends the header of a frame with the given body size.
// ZMTP 1.0 has no commands: flags other than FlagMore are left out there.
func (f Framing) AppendHeader(dst []byte, flags byte, size int) []byte {
	if f == Framing1 {
		if size < 0xfe {
			return append(dst, byte(size+1), flags&FlagMore)
		}
		dst = append(dst, 0xff)
		dst = binary.BigEndian.AppendUint64(dst, uint64(size)+1)
		return append(dst, flags&FlagMore)
	}
	flags &= FlagMore | FlagCommand
	if size <= 0xff {
		return append(dst, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, flags|FlagLong), uint64(size))
}

// Append appends a whole frame.
func (f Framing) Append(dst []byte, flags byte, body []byte) []byte {
	return append(f.AppendHeader(dst, flags, len(body)), body...)
}

// Next splits the first frame off b. body and rest are views of b. When b holds
// only part of a frame, ok is false and rest is b.
func (f Framing) Next(b []byte, max int64) (h Header, body, rest []byte, ok bool, err error) {
	h, n, err := f.ParseHeader(b, max)
	if err != nil || n == 0 || len(b)-n < h.Size {
		return h, nil, b, false, err
	}
	return h, b[n : n+h.Size : n+h.Size], b[n+h.Size:], true, nil
}
