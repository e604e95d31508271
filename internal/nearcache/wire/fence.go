package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"lintel.dev/internal/sequence"
)

// Command is the name of the command that asks for a fence.
const Command = "mf"

// Fence is the answer to a fence.
type Fence struct {
	Nonce uint64 // of the question
	Epoch sequence.Epoch
	Feeds []string // endpoints of the feed, at most MaxFeeds
	Last  []uint64 // last number of each lane, 1 to MaxLanes of them
}

// AppendQuestion appends the command line that asks for a fence, without its line
// ending.
func AppendQuestion(dst []byte, nonce uint64) []byte {
	return strconv.AppendUint(append(dst, Command+" "...), nonce, 10)
}

// CheckEndpoint returns an error if an endpoint cannot be part of a Fence.
func CheckEndpoint(endpoint string) error {
	if len(endpoint) > MaxEndpoint {
		return fmt.Errorf("%w: endpoint of %d octets, expected at most %d", ErrMessage, len(endpoint), MaxEndpoint)
	}
	if endpoint == "" || strings.ContainsFunc(endpoint, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: endpoint %q, expected octets without spaces and control characters", ErrMessage, endpoint)
	}
	return nil
}

// AppendAnswer appends f as a reply line without its line ending. f must be within
// its bounds.
func AppendAnswer(dst []byte, f *Fence) []byte {
	dst = strconv.AppendUint(append(dst, "HD O"...), f.Nonce, 10)
	dst = append(append(dst, " e"...), f.Epoch.String()...)
	for _, feed := range f.Feeds {
		dst = append(append(dst, " f"...), feed...)
	}
	for i, n := range f.Last {
		sep := ","
		if i == 0 {
			sep = " s"
		}
		dst = strconv.AppendUint(append(dst, sep...), n, 10)
	}
	return dst
}

// ParseAnswer parses a reply line without its line ending. The Fence shares nothing
// with line. It returns an error that wraps ErrMessage unless line is what
// AppendAnswer makes.
func ParseAnswer(line []byte) (Fence, error) {
	var f Fence
	rest, ok := bytes.CutPrefix(line, []byte("HD O"))
	if !ok {
		return Fence{}, fmt.Errorf("%w: answer %.40q, expected HD O<nonce>", ErrMessage, line)
	}
	token, rest, _ := bytes.Cut(rest, []byte(" "))
	if f.Nonce, ok = parseNumber(token); !ok {
		return Fence{}, fmt.Errorf("%w: nonce %.40q, expected a number", ErrMessage, token)
	}
	token, rest, _ = bytes.Cut(rest, []byte(" "))
	if err := f.parseEpoch(token); err != nil {
		return Fence{}, err
	}
	for len(rest) > 0 && rest[0] == 'f' {
		token, rest, _ = bytes.Cut(rest, []byte(" "))
		feed := string(token[1:])
		if err := CheckEndpoint(feed); err != nil {
			return Fence{}, err
		}
		if f.Feeds = append(f.Feeds, feed); len(f.Feeds) > MaxFeeds {
			return Fence{}, fmt.Errorf("%w: more than %d endpoints", ErrMessage, MaxFeeds)
		}
	}
	if err := f.parseLanes(rest); err != nil {
		return Fence{}, err
	}
	return f, nil
}

func (f *Fence) parseEpoch(token []byte) error {
	digits, ok := bytes.CutPrefix(token, []byte("e"))
	if !ok || len(digits) != 2*len(f.Epoch) {
		return fmt.Errorf("%w: epoch %.40q, expected e and %d hexadecimal digits", ErrMessage, token, 2*len(f.Epoch))
	}
	var err error
	if f.Epoch, err = sequence.ParseEpoch(string(digits)); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if f.Epoch == (sequence.Epoch{}) || f.Epoch.String() != string(digits) {
		return fmt.Errorf("%w: epoch %q, expected lower case and not zero", ErrMessage, digits)
	}
	return nil
}

func (f *Fence) parseLanes(token []byte) error {
	list, ok := bytes.CutPrefix(token, []byte("s"))
	if !ok {
		return fmt.Errorf("%w: numbers %.40q, expected s and one for each lane", ErrMessage, token)
	}
	lanes := bytes.Count(list, []byte(",")) + 1
	if lanes > MaxLanes {
		return fmt.Errorf("%w: %d lanes, expected at most %d", ErrMessage, lanes, MaxLanes)
	}
	f.Last = make([]uint64, lanes)
	for i := range f.Last {
		var number []byte
		number, list, _ = bytes.Cut(list, []byte(","))
		if f.Last[i], ok = parseNumber(number); !ok {
			return fmt.Errorf("%w: number %.40q of lane %d", ErrMessage, number, i)
		}
	}
	return nil
}

// parseNumber parses a decimal number in the form in which AppendUint writes it.
func parseNumber(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 1 && b[0] == '0' || b[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}
