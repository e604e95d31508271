package apitext

import (
	"slices"
	"strings"
)

// A Break is a change after which a program may not compile any more.
type Break struct {
	Symbol string // such as zmq.Pub.Send
	Line   string // the fact that is gone, or the method that an interface has got
}

// Breaks returns what breaks programs that were written for the API before: each
// fact that is gone or changed, and each method that was added to an interface
// which other packages can implement.
func Breaks(before, now []string) []Break {
	var breaks []Break
	for _, line := range before {
		if !slices.Contains(now, line) {
			breaks = append(breaks, Break{symbol(line), line})
		}
	}
	for _, line := range now {
		s := symbol(line)
		of := s[:max(strings.LastIndexByte(s, '.'), 0)]
		if strings.HasPrefix(line, "method ") && !slices.Contains(before, line) &&
			hasInterface(before, of) && !slices.ContainsFunc(breaks, func(b Break) bool { return b.Symbol == s }) {
			breaks = append(breaks, Break{s, line})
		}
	}
	return breaks
}

// hasInterface reports whether the facts have an interface that other packages
// can implement.
func hasInterface(facts []string, short string) bool {
	open, closed := false, false
	for _, line := range facts {
		if symbol(line) == short {
			open = open || strings.HasPrefix(line, "type ") && strings.HasSuffix(line, " interface")
			closed = closed || strings.HasSuffix(line, " has unexported methods")
		}
	}
	return open && !closed
}

// symbol returns what a fact is about, with the last part of the path of its
// package.
func symbol(line string) string {
	_, s, _ := strings.Cut(line, " ")
	s = strings.TrimPrefix(s, "*")
	if end := strings.IndexAny(s, " ([="); end >= 0 {
		s = s[:end]
	}
	return s[strings.LastIndexByte(s, '/')+1:]
}
