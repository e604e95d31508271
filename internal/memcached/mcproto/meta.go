package mcproto

import (
	"bytes"
	"encoding/base64"
)

// MaxMetaTokens is the largest number of tokens of a meta command.
const MaxMetaTokens = 20

// MaxOpaque is the longest opaque token, in bytes after the O.
const MaxOpaque = 31

// The replies to a malformed meta command.
const (
	ErrFormat    = "CLIENT_ERROR bad command line format"
	ErrToken     = "CLIENT_ERROR bad token in command line format"
	ErrDuplicate = "CLIENT_ERROR duplicate flag"
	ErrFlag      = "CLIENT_ERROR invalid flag"
	ErrOpaque    = "CLIENT_ERROR opaque token too long"
	ErrTooMany   = "CLIENT_ERROR options flags are too long"
	ErrKey       = "CLIENT_ERROR error decoding key"
	ErrInitial   = "CLIENT_ERROR invalid numeric initial value"
	ErrDelta     = "CLIENT_ERROR invalid numeric delta value"
)

// Meta holds the flags of a meta command. Flags of any meta command are accepted
// on each; a command ignores those without meaning for it. Slices point into the
// line.
type Meta struct {
	Flags [MaxMetaTokens][]byte // the flag tokens, in order
	N     int                   // number of flag tokens

	// Garbled is set if a flag starts with a byte that is not a letter, a digit or
	// between 'Z' and 'a'. memcached does not parse such a line, and does not
	// skip a data block after it.
	Garbled bool

	seen [2]uint64

	Key  []byte // the key, decoded if flag b is given
	Sent []byte // the key as it is returned to the client

	room [MaxKey + 3]byte

	Mode        byte // first byte after M, 0 if absent
	ClientFlags uint32
	TTL         int64  // T, as sent
	Vivify      int64  // N, as sent
	Recache     int64  // R, as sent
	Compare     uint64 // C
	NewCAS      uint64 // E
	Initial     uint64 // J
	Delta       uint64 // D, 1 if absent
}

// Has reports whether the command carried flag f.
func (m *Meta) Has(f byte) bool { return m.seen[f>>6]&(1<<(f&63)) != 0 }

// Parse reads the flags in rest: the line after the key, which is sent, and after
// the length of an ms. used is the number of tokens before rest. Parse returns the
// error line of the reply, empty if there is none. After an error the other
// fields of m are not valid.
func (m *Meta) Parse(sent, rest []byte, used int) (problem string) {
	m.Key, m.Sent = sent, sent
	m.N, m.Garbled = 0, false
	m.seen = [2]uint64{}
	m.Mode, m.ClientFlags = 0, 0
	m.TTL, m.Vivify, m.Recache = 0, 0, 0
	m.Compare, m.NewCAS, m.Initial, m.Delta = 0, 0, 0, 1
	for {
		var tok []byte
		tok, rest = Next(rest)
		if len(tok) == 0 {
			break
		}
		if !flagByte(tok[0]) {
			m.Garbled = true
			return ErrFormat
		}
		if used+m.N == MaxMetaTokens {
			return ErrTooMany
		}
		m.Flags[m.N] = tok
		m.N++
	}
	long := false
	for _, tok := range m.Flags[:m.N] {
		f, arg := tok[0], tok[1:]
		if m.Has(f) {
			return ErrDuplicate
		}
		m.seen[f>>6] |= 1 << (f & 63)
		ok := true
		bad := ErrToken
		switch f {
		case 'b':
			var exact bool
			m.Key, exact, ok = DecodeKey(m.room[:0], sent)
			if bad = ErrKey; ok && !exact {
				m.Sent = EncodeKey(nil, m.Key)
			}
		case 'k', 's', 't', 'c', 'f', 'v', 'h', 'l', 'u', 'q', 'x', 'I', 'P', 'L':
		case 'O':
			long = long || len(arg) > MaxOpaque
		case 'N':
			m.Vivify, ok = ArgInt(arg)
		case 'T':
			m.TTL, ok = ArgInt(arg)
		case 'R':
			m.Recache, ok = ArgInt(arg)
		case 'C':
			m.Compare, ok = ArgUint(arg)
		case 'E':
			m.NewCAS, ok = ArgUint(arg)
		case 'F':
			m.ClientFlags, ok = ArgUint32(arg)
			bad = ErrFormat
		case 'M':
			if len(arg) > 0 {
				m.Mode = arg[0]
			} else {
				// A missing mode is refused as an unknown one.
				m.Mode = ' '
			}
		case 'J':
			m.Initial, ok = ArgUint(arg)
			bad = ErrInitial
		case 'D':
			m.Delta, ok = ArgUint(arg)
			bad = ErrDelta
		default:
			return ErrFlag
		}
		// An unknown or repeated flag later in the line takes precedence.
		if !ok && (problem == "" || bad != ErrFormat) {
			problem = bad
		}
	}
	if problem == "" && long {
		// memcached detects this when it writes the reply.
		problem = ErrOpaque
	}
	return problem
}

// flagByte reports whether a flag may start with c.
func flagByte(c byte) bool { return 'A' <= c && c <= 'z' || '0' <= c && c <= '9' }

// strict accepts one encoding of each key.
var strict = base64.StdEncoding.Strict()

// DecodeKey appends the bytes of a base64 key to dst, by memcached's rules:
// characters outside the alphabet are skipped, the rest has a multiple of four
// characters, and nothing counts after the padding. ok is false for an empty,
// malformed or too long key. exact reports whether key is the encoding of
// [EncodeKey], in which memcached returns keys.
func DecodeKey(dst, key []byte) (decoded []byte, exact, ok bool) {
	if len(key) == 0 || len(key) > MaxKey {
		return dst, false, false
	}
	if out, err := strict.AppendDecode(dst, key); err == nil && len(out) > len(dst) {
		return out, true, true
	}
	var room [MaxKey]byte
	clean := room[:0]
	for _, c := range key {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '=' {
			clean = append(clean, c)
		}
	}
	if len(clean)%4 != 0 {
		return dst, false, false
	}
	if i := bytes.IndexByte(clean, '='); i >= 0 {
		clean = clean[:i/4*4+4]
	}
	out, err := base64.StdEncoding.AppendDecode(dst, clean)
	if err != nil || len(out) == len(dst) {
		return dst, false, false
	}
	return out, false, true
}

// EncodeKey appends key in base64.
func EncodeKey(dst, key []byte) []byte { return base64.StdEncoding.AppendEncode(dst, key) }
