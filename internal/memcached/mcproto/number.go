package mcproto

import (
	"math"
	"strconv"
)

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// ParseUint reads an unsigned 64-bit decimal the way C's strtoull is used by
// memcached: leading white space and a sign may precede the digits, and the
// digits end at the end of b or at white space. A negative number other than
// zero, an overflow, or any other byte is refused.
func ParseUint(b []byte) (v uint64, ok bool) {
	if len(b) > 0 && len(b) < 19 { // usually only a few digits
		for _, c := range b {
			c -= '0'
			if c > 9 {
				return parseUintSlow(b)
			}
			v = v*10 + uint64(c)
		}
		return v, true
	}
	return parseUintSlow(b)
}

func parseUintSlow(b []byte) (v uint64, ok bool) {
	v, neg, ok := decimal(b, math.MaxUint64)
	if !ok || neg && v != 0 {
		return 0, false
	}
	return v, true
}

// ParseInt reads a signed 64-bit decimal with the rules of [ParseUint] and an
// optional sign.
func ParseInt(b []byte) (v int64, ok bool) {
	u, neg, ok := decimal(b, math.MaxInt64)
	if neg {
		return -int64(u), ok
	}
	return int64(u), ok
}

// decimal reads a number up to most, and whether a minus sign precedes it.
func decimal(b []byte, most uint64) (v uint64, neg, ok bool) {
	i := 0
	for i < len(b) && space(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		d := uint64(b[i] - '0')
		if v > (most-d)/10 {
			return 0, false, false
		}
		v = v*10 + d
	}
	if i == start || i < len(b) && !space(b[i]) {
		return 0, false, false
	}
	return v, neg, true
}

// The longest arguments that memcached parses, in digits.
const (
	maxArg64 = 22
	maxArg32 = 11
)

// ArgUint reads an argument of up to 64 bits, which has only digits. memcached
// 1.6.45 reads every number like that, except flags and expiry time of a storage
// command and the value of a counter.
func ArgUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > maxArg64 {
		return 0, false
	}
	for _, c := range b {
		c -= '0'
		if c > 9 || v > (math.MaxUint64-uint64(c))/10 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, true
}

// ArgUint32 is [ArgUint] for an argument of 32 bits.
func ArgUint32(b []byte) (v uint32, ok bool) {
	if len(b) > maxArg32 {
		return 0, false
	}
	u, ok := ArgUint(b)
	return uint32(u), ok && u <= math.MaxUint32
}

// ArgInt reads a signed argument: digits, optionally after a minus sign. It accepts
// what memcached accepts for 32 bits, including a single minus sign, and larger
// numbers of up to 11 characters, for times after 2038.
func ArgInt(b []byte) (v int64, ok bool) {
	if len(b) == 0 || len(b) > maxArg32 {
		return 0, false
	}
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	if len(digits) < len(b) {
		v = -v
	}
	return v, v >= math.MinInt32
}

// ParseLength reads the length argument of a storage command. It refuses what is
// not a number, negative, or above [MaxLength]. memcached then skips no data.
func ParseLength(b []byte) (n int, ok bool) {
	v, ok := ArgInt(b)
	return int(v), ok && v >= 0 && v <= MaxLength
}

// ParseNumbers is the fast path for the arguments after the key of most storage
// commands: three numbers of up to nine digits, separated by single spaces. ok is
// false for any other form, valid or not.
func ParseNumbers(line []byte) (a, b, c uint32, ok bool) {
	var n [3]uint32
	at := 0
	for i := range n {
		start := at
		for at < len(line) && line[at]-'0' <= 9 {
			n[i] = n[i]*10 + uint32(line[at]-'0')
			at++
		}
		if at == start || at > start+9 {
			return 0, 0, 0, false
		}
		if i < len(n)-1 {
			if at == len(line) || line[at] != ' ' {
				return 0, 0, 0, false
			}
			at++
		}
	}
	return n[0], n[1], n[2], at == len(line)
}

// AppendUint appends v in decimal. It is strconv.AppendUint with a fast path for
// numbers below 1000, such as flags and sizes of small values.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 10:
		return append(dst, byte('0'+v))
	case v < 1000:
		n := uint32(v)
		d := n / 10
		if n < 100 {
			return append(dst, byte('0'+d), byte('0'+n-d*10))
		}
		c := d / 10
		return append(dst, byte('0'+c), byte('0'+d-c*10), byte('0'+n-d*10))
	}
	return strconv.AppendUint(dst, v, 10)
}
