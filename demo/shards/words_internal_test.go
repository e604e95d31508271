package shards

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"lintel.dev/demo"
)

func TestReadWords(t *testing.T) {
	for text, want := range map[string][]string{
		"one\ntwo\nthree\n":      {"one", "two", "three"},
		"\n  one \r\n\ntwo":      {"one", "two"},
		"two\none\ntwo\n":        {"two", "one"},
		"don't\nécole\n日本\n":     {"don't", "école", "日本"},
		strings.Repeat("x", 250): {strings.Repeat("x", 250)},
	} {
		got, err := readWords(strings.NewReader(text), "list")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestListsRefused(t *testing.T) {
	for _, c := range []struct {
		list io.Reader
		says string
	}{
		{strings.NewReader(""), "list: no words"},
		{strings.NewReader("\n \n"), "list: no words"},
		{strings.NewReader("one\nnew york\n"), "list:2: byte 0x20 in a word"},
		{strings.NewReader("\x00\x01"), "list:1: byte 0x00 in a word"},
		{strings.NewReader("a\x7fb"), "list:1: byte 0x7f in a word"},
		{strings.NewReader("a\n" + strings.Repeat("x", 251)), "list:2: a word of 251 bytes"},
		{strings.NewReader("a\n" + strings.Repeat("x", 1<<20)), "list:2: a line over"},
		{iotest.ErrReader(errors.New("is a directory")), "list: is a directory"},
	} {
		_, err := readWords(c.list, "list")
		var input *demo.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "one a line") && !strings.Contains(err.Error(), "one word a line") {
			t.Errorf("error %v, want an InputError with %q and what was expected", err, c.says)
		}
	}
}

func TestEmbeddedWords(t *testing.T) {
	words, err := readWords(bytes.NewReader(embedded), "words.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(words) < 3000 || !slices.IsSorted(words) || len(words) != bytes.Count(embedded, []byte("\n")) {
		t.Errorf("%d words, sorted %v", len(words), slices.IsSorted(words))
	}
}

func FuzzReadWords(f *testing.F) {
	f.Add([]byte("one\ntwo\n"))
	f.Add([]byte("new york\n"))
	f.Add([]byte{0xff, '\n', 0})
	f.Fuzz(func(t *testing.T, list []byte) {
		words, err := readWords(bytes.NewReader(list), "list")
		if err != nil {
			return
		}
		for _, w := range words {
			if w == "" || len(w) > maxWord || strings.ContainsAny(w, " \t\r\n\x00\x7f") {
				t.Fatalf("%q cannot be a key", w)
			}
		}
	})
}
