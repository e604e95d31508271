package pi

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
)

// The wire format, for programs in other languages that play a role.
//
// A point is 64 characters of 0 and 1. Those at even positions (0, 2, ...)
// are the 32 bits of n, highest first, those at odd positions the bits of m.
// The point lies in the quarter circle if n*n + m*m < 2^64. So the first two
// characters are the quadrant of the unit square: a point in 00 is always
// inside.
//
// A judge sends a JSON array of integers, [n, m]. The reply is a JSON integer,
// the sum of their squares. Both may be beyond 2^53, where a float64 is no
// longer exact.
//
// A verdict is one character, Y or N.
const pointLen = 64

// branches are the quadrants, by the two characters they start with.
var branches = [4]string{"00", "01", "10", "11"}

const (
	yes = "Y"
	no  = "N"
)

// appendPoint appends the 64 characters of a random word.
func appendPoint(b []byte, word uint64) []byte {
	for shift := 63; shift >= 0; shift-- {
		b = append(b, '0'+byte(word>>shift&1))
	}
	return b
}

// parsePoint returns the branch, n and m of a point.
func parsePoint(b []byte) (branch int, n, m uint32, err error) {
	if len(b) != pointLen {
		return 0, 0, 0, errBadPoint
	}
	for i := 0; i < pointLen; i += 2 {
		hi, lo := b[i]-'0', b[i+1]-'0'
		if hi > 1 || lo > 1 {
			return 0, 0, 0, errBadPoint
		}
		n = n<<1 | uint32(hi)
		m = m<<1 | uint32(lo)
	}
	return int(n>>31<<1 | m>>31), n, m, nil
}

var (
	errBadPoint   = errors.New("expected a point of 64 characters, each 0 or 1")
	errBadNumbers = errors.New("expected a JSON array of integers of up to 100 digits, [n, m]")
	errBadSum     = errors.New("expected a JSON integer, the sum of the squares")
)

// appendNumbers appends the request of a judge.
func appendNumbers(b []byte, n, m uint32) []byte {
	b = append(b, '[')
	b = strconv.AppendUint(b, uint64(n), 10)
	b = append(b, ", "...)
	b = strconv.AppendUint(b, uint64(m), 10)
	return append(b, ']')
}

// maxDigits bounds the work for one number from a peer.
const maxDigits = 100

// sumOfSquares returns the reply to a judge. It is exact for any number of
// integers of up to maxDigits digits.
func sumOfSquares(question []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(trimJSON(question), []byte("["))
	if !ok {
		return nil, errBadNumbers
	}
	var sum, n big.Int
	for first := true; ; first = false {
		rest = trimJSON(rest)
		if end, ok := bytes.CutPrefix(rest, []byte("]")); ok && first {
			rest = end
			break
		}
		var number []byte
		number, rest = cutInteger(rest)
		if number == nil {
			return nil, errBadNumbers
		}
		n.SetString(string(number), 10)
		sum.Add(&sum, n.Mul(&n, &n))
		rest = trimJSON(rest)
		if end, ok := bytes.CutPrefix(rest, []byte("]")); ok {
			rest = end
			break
		}
		if rest, ok = bytes.CutPrefix(rest, []byte(",")); !ok {
			return nil, errBadNumbers
		}
	}
	if len(trimJSON(rest)) > 0 {
		return nil, errBadNumbers
	}
	return sum.Append(nil, 10), nil
}

// unit is the square of the radius: 2^64.
var unit = new(big.Int).Lsh(big.NewInt(1), 64)

// inside parses the reply to a judge and reports whether the point lies in the
// circle.
func inside(answer []byte) (bool, error) {
	number, rest := cutInteger(trimJSON(answer))
	if number == nil || len(trimJSON(rest)) > 0 {
		return false, errBadSum
	}
	sum, _ := new(big.Int).SetString(string(number), 10)
	return sum.Cmp(unit) < 0, nil
}

// trimJSON removes JSON white space from both ends.
func trimJSON(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// cutInteger returns the JSON integer that b starts with, nil if none or one
// of over maxDigits digits, and what follows it.
func cutInteger(b []byte) (number, rest []byte) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	n := 0
	for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	if n == 0 || n > maxDigits || digits[0] == '0' && n > 1 {
		return nil, b
	}
	end := len(b) - len(digits) + n
	return b[:end], b[end:]
}

// judgePrefixes distributes the three quadrants of the judges over workers.
// Each worker gets prefixes to subscribe to, every point matches one prefix of
// one worker, and the shares are as equal as prefixes of one length allow.
func judgePrefixes(workers int) [][]string {
	prefixes := []string{"01", "10", "11"}
	for len(prefixes) < workers {
		longer := make([]string, 0, 2*len(prefixes))
		for _, p := range prefixes {
			longer = append(longer, p+"0", p+"1")
		}
		prefixes = longer
	}
	dealt := make([][]string, workers)
	for i, p := range prefixes {
		dealt[i%workers] = append(dealt[i%workers], p)
	}
	return dealt
}
