package mcproto

import "bytes"

// Next cuts the first token off line: the bytes before the next space.
// Separators are space bytes alone and runs of them count as one. At the end
// of the line tok is empty.
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

// Split appends the tokens of line to dst until dst has max of them, and
// reports whether the line held more than that.
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

// Last returns the last token of line, empty when there is none.
func Last(line []byte) []byte {
	line = bytes.TrimRight(line, " ")
	return line[bytes.LastIndexByte(line, ' ')+1:]
}

// IsRetrieval reports whether pending, the start of a line whose end has not
// arrived, is a get or gets: the two commands that may be of any length. Up to
// 100 spaces may precede the word.
func IsRetrieval(pending []byte) bool {
	for i := 0; i < 100 && len(pending) > 0 && pending[0] == ' '; i++ {
		pending = pending[1:]
	}
	return bytes.HasPrefix(pending, []byte("get ")) || bytes.HasPrefix(pending, []byte("gets "))
}

const upperHex = "0123456789ABCDEF"

// AppendKey appends key as memcached prints keys in dumps and logs: bytes other
// than letters, digits and "-._~" become %XX.
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
