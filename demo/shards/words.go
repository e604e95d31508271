package shards

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"lintel.dev/demo"
)

//go:embed words.txt
var embedded []byte

const (
	// maxWord is the longest key memcached takes, in bytes.
	maxWord = 250
	// maxWords bounds the memory of a word list.
	maxWords = 2_000_000
)

// readWords reads one word a line, in order, each word once. A word must be a
// valid key: 1 to 250 bytes without white space and control characters. name is
// the name of the list in errors.
func readWords(r io.Reader, name string) ([]string, error) {
	var words []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	line := 0
	for lines.Scan() {
		line++
		word := bytes.TrimSpace(lines.Bytes())
		if len(word) == 0 || seen[string(word)] {
			continue
		}
		if why := notKey(word); why != "" {
			return nil, demo.Inputf("%s:%d: %s: expected one word a line, up to %d bytes without spaces", name, line, why, maxWord)
		}
		if len(words) == maxWords {
			return nil, demo.Inputf("%s:%d: expected at most %s words", name, line, demo.Count(maxWords))
		}
		words = append(words, string(word))
		seen[words[len(words)-1]] = true
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, demo.Inputf("%s:%d: a line over %d bytes: expected one word a line, up to %d bytes without spaces", name, line+1, bufio.MaxScanTokenSize, maxWord)
	} else if err != nil {
		return nil, demo.Inputf("%s: %w: expected a list of words, one a line", name, err)
	}
	if len(words) == 0 {
		return nil, demo.Inputf("%s: no words: expected one word a line", name)
	}
	return words, nil
}

// notKey returns why a word cannot be a key, or "".
func notKey(word []byte) string {
	if len(word) > maxWord {
		return fmt.Sprintf("a word of %d bytes", len(word))
	}
	for _, c := range word {
		if c <= ' ' || c == 0x7f {
			return fmt.Sprintf("byte 0x%02x in a word", c)
		}
	}
	return ""
}
