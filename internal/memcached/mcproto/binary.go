package mcproto

import "encoding/binary"

// HeaderLen is the length in bytes of a binary header.
const HeaderLen = 24

// The first byte of a binary frame.
const (
	MagicRequest  = 0x80
	MagicResponse = 0x81
)

// Opcode is a command of the binary protocol.
type Opcode byte

// The commands. A form with Q sends no reply for the usual result.
const (
	OpGet Opcode = iota
	OpSet
	OpAdd
	OpReplace
	OpDelete
	OpIncr
	OpDecr
	OpQuit
	OpFlush
	OpGetQ
	OpNoop
	OpVersion
	OpGetK
	OpGetKQ
	OpAppend
	OpPrepend
	OpStat
	OpSetQ
	OpAddQ
	OpReplaceQ
	OpDeleteQ
	OpIncrQ
	OpDecrQ
	OpQuitQ
	OpFlushQ
	OpAppendQ
	OpPrependQ
	OpVerbosity
	OpTouch
	OpGAT
	OpGATQ
	OpSASLList Opcode = iota + 1
	OpSASLAuth
	OpSASLStep
	OpGATK  Opcode = 0x23
	OpGATKQ Opcode = 0x24
)

// Loud returns the form of op without Q, and whether op has one.
func (op Opcode) Loud() (Opcode, bool) {
	switch op {
	case OpGetQ:
		return OpGet, true
	case OpGetKQ:
		return OpGetK, true
	case OpSetQ:
		return OpSet, true
	case OpAddQ:
		return OpAdd, true
	case OpReplaceQ:
		return OpReplace, true
	case OpDeleteQ:
		return OpDelete, true
	case OpIncrQ:
		return OpIncr, true
	case OpDecrQ:
		return OpDecr, true
	case OpQuitQ:
		return OpQuit, true
	case OpFlushQ:
		return OpFlush, true
	case OpAppendQ:
		return OpAppend, true
	case OpPrependQ:
		return OpPrepend, true
	case OpGATQ:
		return OpGAT, true
	case OpGATKQ:
		return OpGATK, true
	}
	return op, false
}

// Status is the status of a binary response.
type Status uint16

// The status codes.
const (
	StatusOK             Status = 0x00
	StatusNotFound       Status = 0x01
	StatusExists         Status = 0x02
	StatusTooLarge       Status = 0x03
	StatusInvalid        Status = 0x04
	StatusNotStored      Status = 0x05
	StatusNonNumeric     Status = 0x06
	StatusAuthError      Status = 0x20
	StatusAuthContinue   Status = 0x21
	StatusUnknownCommand Status = 0x81
	StatusNoMemory       Status = 0x82
)

// Text returns the body that memcached sends with an error status.
func (s Status) Text() string {
	switch s {
	case StatusNotFound:
		return "Not found"
	case StatusExists:
		return "Data exists for key."
	case StatusTooLarge:
		return "Too large."
	case StatusInvalid:
		return "Invalid arguments"
	case StatusNotStored:
		return "Not stored."
	case StatusNonNumeric:
		return "Non-numeric server-side value for incr or decr"
	case StatusAuthError:
		return "Auth failure."
	case StatusUnknownCommand:
		return "Unknown command"
	case StatusNoMemory:
		return "Out of memory"
	}
	return ""
}

// Header is a request header. Its lengths are as announced, without checks.
type Header struct {
	Magic    byte
	Op       Opcode
	KeyLen   int
	ExtLen   int
	DataType byte
	VBucket  uint16
	BodyLen  int64
	Opaque   uint32
	CAS      uint64
}

// ParseHeader parses the first [HeaderLen] bytes of b. It panics if b is shorter.
func ParseHeader(b []byte) (h Header) {
	_ = b[HeaderLen-1]
	h.Magic = b[0]
	h.Op = Opcode(b[1])
	h.KeyLen = int(binary.BigEndian.Uint16(b[2:]))
	h.ExtLen = int(b[4])
	h.DataType = b[5]
	h.VBucket = binary.BigEndian.Uint16(b[6:])
	h.BodyLen = int64(binary.BigEndian.Uint32(b[8:]))
	h.Opaque = binary.BigEndian.Uint32(b[12:])
	h.CAS = binary.BigEndian.Uint64(b[16:])
	return h
}

// AppendResponse appends the header of a response to h. The caller appends extras,
// key and value, whose total length is bodyLen.
func AppendResponse(dst []byte, h *Header, status Status, extLen, keyLen, bodyLen int, cas uint64) []byte {
	dst = append(dst, MagicResponse, byte(h.Op), byte(keyLen>>8), byte(keyLen), byte(extLen), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(status))
	dst = binary.BigEndian.AppendUint32(dst, uint32(bodyLen))
	dst = binary.BigEndian.AppendUint32(dst, h.Opaque)
	return binary.BigEndian.AppendUint64(dst, cas)
}
