package demo

import (
	"bytes"
	"testing"
)

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"pi is about 3", 5, "pi is"},
		{"pi", 5, "pi"},
		{"██▶ x", 3, "██▶"},
		{"\x1b[2mgrey\x1b[0m and more", 2, "\x1b[2mgr\x1b[0m"},
		{"width unknown", 0, "width unknown"},
		{"width unknown", -1, "width unknown"},
	} {
		if got := cut(c.text, c.width); got != c.want {
			t.Errorf("%q at %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

// TestLiveLineFits: a live line does not wrap on a narrow terminal.
func TestLiveLineFits(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{w: &out, live: true, width: func() int { return 10 }}
	s.Live("%s", "0123456789abcdef")
	if got := out.String(); got != "\r\x1b[K012345678" {
		t.Errorf("%q", got)
	}
}
