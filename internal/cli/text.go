package cli

import (
	"bytes"
	"fmt"
	"strings"
)

const hexDigits = "0123456789abcdef"

// AppendEscaped appends b with \xNN for the backslash and for bytes that are not
// printable ASCII, so that a message cannot control a terminal.
func AppendEscaped(dst, b []byte) []byte {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '\\' {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// Escaped returns b as AppendEscaped writes it.
func Escaped(b []byte) string { return string(AppendEscaped(nil, b)) }

// Unescape replaces \xNN. Another backslash is an error. The result does not
// share memory with s.
func Unescape(s []byte) ([]byte, error) {
	b := make([]byte, 0, len(s))
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(b, s...), nil
		}
		b = append(b, s[:i]...)
		s = s[i:]
		if len(s) < 4 || s[1] != 'x' {
			return nil, fmt.Errorf("%q begins no escape, expected \\xNN", s[:min(len(s), 4)])
		}
		high, low := strings.IndexByte(hexDigits, lower(s[2])), strings.IndexByte(hexDigits, lower(s[3]))
		if high < 0 || low < 0 {
			return nil, fmt.Errorf("%q is no escape, expected \\x and two hexadecimal digits", s[:4])
		}
		b = append(b, byte(high<<4|low))
		s = s[4:]
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'F' {
		return c + 'a' - 'A'
	}
	return c
}
