package mcproto

import "bytes"

// Next returns the first token of line and the rest behind it. Tokens are
// separated by one or more space bytes. At the end of the line tok is empty.
func Next(line []byte) (tok, rest []byte) {
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

// Blank reports whether line has no token.
func Blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' {
			return false
		}
	}
	return true
}

// Split appends the tokens of line to dst until dst has max of them. more reports
// whether the line has further tokens.
func Split(dst [][]byte, line []byte, max int) (toks [][]byte, more bool) {
	for {
		var tok []byte
		tok, line = Next(line)
		if len(tok) == 0 {
			return dst, false
		}
		if len(dst) == max {
			return dst, true
		}
		dst = append(dst, tok)
	}
}

// Last returns the last token of line, empty if there is none.
func Last(line []byte) []byte {
	line = bytes.TrimRight(line, " ")
	return line[bytes.LastIndexByte(line, ' ')+1:]
}

// IsRetrieval reports whether pending, the start of an incomplete line, is a get or
// gets. Only these commands have no bound on their length. Up to 100 spaces may
// precede the word.
func IsRetrieval(pending []byte) bool {
	for i := 0; i < 100 && len(pending) > 0 && pending[0] == ' '; i++ {
		pending = pending[1:]
	}
	return bytes.HasPrefix(pending, []byte("get ")) || bytes.HasPrefix(pending, []byte("gets "))
}

const upperHex = "0123456789ABCDEF"

// AppendKey appends key as memcached prints keys in dumps and logs: bytes other
// than letters, digits and "-._~" are written as %XX.
func AppendKey(dst, key []byte) []byte {
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
