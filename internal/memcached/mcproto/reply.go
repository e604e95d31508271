package mcproto

import (
	"bytes"
	"errors"
	"math"
)

// ErrReply is returned for a line that is not a reply of the protocol.
var ErrReply = errors.New("mcproto: malformed reply")

// MetaReply is the first line of a reply to a meta command: code, size if a value
// follows, and return flags.
type MetaReply struct {
	Code      [2]byte // HD, VA, EN, NF, NS, EX, MN, ...
	Size      int     // bytes of the value that follows, -1 for none
	Flags     uint32  // f
	CAS       uint64  // c
	TTL       int64   // t: seconds left, -1 for no limit
	Opaque    uint64  // O, written by AppendOpaque
	HasOpaque bool
	HasTTL    bool
	Won       bool // W: this caller has the right to recompute the value
	Stale     bool // X
	Lost      bool // Z: another caller is recomputing it
}

// ParseMeta parses a line without its line end. It skips unknown return flags. It
// returns ErrReply for a malformed line or number.
func ParseMeta(line []byte) (MetaReply, error) {
	r := MetaReply{Size: -1}
	if len(line) < 2 || len(line) > 2 && line[2] != ' ' {
		return r, ErrReply
	}
	r.Code = [2]byte{line[0], line[1]}
	if r.Code[0] < 'A' || r.Code[0] > 'Z' || r.Code[1] < 'A' || r.Code[1] > 'Z' {
		return r, ErrReply
	}
	rest := line[2:]
	if r.Code == [2]byte{'V', 'A'} {
		var tok []byte
		tok, rest = Next(rest)
		n, ok := Uint(tok)
		if !ok || n > math.MaxInt32 {
			return r, ErrReply
		}
		r.Size = int(n)
	}
	for len(rest) > 0 {
		var tok []byte
		tok, rest = Next(rest)
		if len(tok) == 0 {
			continue
		}
		arg := tok[1:]
		ok := true
		switch tok[0] {
		case 'f':
			var n uint64
			n, ok = Uint(arg)
			ok = ok && n <= math.MaxUint32
			r.Flags = uint32(n)
		case 'c':
			r.CAS, ok = Uint(arg)
		case 't':
			r.HasTTL = true
			if len(arg) > 0 && arg[0] == '-' {
				r.TTL = -1
				break
			}
			var n uint64
			n, ok = Uint(arg)
			ok = ok && n <= math.MaxInt64
			r.TTL = int64(n)
		case 'O':
			r.HasOpaque = true
			r.Opaque, ok = hex(arg)
		case 'W':
			r.Won = true
		case 'X':
			r.Stale = true
		case 'Z':
			r.Lost = true
		}
		if !ok {
			return r, ErrReply
		}
	}
	return r, nil
}

// ValueLine is the line before a value of a classic retrieval.
type ValueLine struct {
	Key    []byte // aliases the line
	Flags  uint32
	Size   int
	CAS    uint64
	HasCAS bool
}

// ParseValue parses "VALUE key flags size [cas]" without its line end.
func ParseValue(line []byte) (ValueLine, error) {
	var v ValueLine
	rest, ok := bytes.CutPrefix(line, []byte("VALUE "))
	if !ok {
		return v, ErrReply
	}
	v.Key, rest = Next(rest)
	var flags, size, cas []byte
	flags, rest = Next(rest)
	size, rest = Next(rest)
	cas, rest = Next(rest)
	f, ok1 := Uint(flags)
	n, ok2 := Uint(size)
	ok3 := true
	if len(cas) > 0 {
		v.HasCAS = true
		v.CAS, ok3 = Uint(cas)
	}
	if !ok1 || !ok2 || !ok3 || f > math.MaxUint32 || n > math.MaxInt32 || len(v.Key) == 0 || len(rest) > 0 {
		return v, ErrReply
	}
	v.Flags, v.Size = uint32(f), int(n)
	return v, nil
}

// Uint parses an unsigned decimal number of at most 64 bits: digits only.
func Uint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, d := range b {
		d -= '0'
		if d > 9 || n > (math.MaxUint64-uint64(d))/10 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}

const hexDigits = "0123456789abcdef"

// AppendOpaque appends n as an opaque token: lower-case hex, at most 16 bytes.
func AppendOpaque(b []byte, n uint64) []byte {
	shift := 60
	for shift > 0 && n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[n>>shift&15])
	}
	return b
}

func hex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	for _, d := range b {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}
