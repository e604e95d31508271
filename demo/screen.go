package demo

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// Color is one of the few colours the demonstrations use.
type Color string

// The colours, as SGR parameters.
const (
	Bold   Color = "1"
	Dim    Color = "2"
	Red    Color = "31"
	Green  Color = "32"
	Yellow Color = "33"
	Cyan   Color = "36"
)

// Screen writes to a terminal. To any other writer it writes without colour and
// without moving the cursor. It is not safe for concurrent use.
type Screen struct {
	w     io.Writer
	width func() int // columns of the terminal; 0 is unknown
	live  bool
	color bool
	drawn bool // a live line stands unfinished
	err   error
}

// NewScreen returns a Screen that writes to w. Colour and live lines are used
// when w is a terminal; NO_COLOR and TERM=dumb turn colour off.
func NewScreen(w io.Writer) *Screen {
	s := &Screen{w: w, width: func() int { return 0 }}
	if f, ok := w.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(f.Fd())) {
		s.width = func() int { columns, _, _ := term.GetSize(int(f.Fd())); return columns }
		s.live = os.Getenv("TERM") != "dumb"
		s.color = s.live && os.Getenv("NO_COLOR") == ""
	}
	return s
}

// Terminal reports whether live lines replace each other.
func (s *Screen) Terminal() bool { return s.live }

// Printf removes the live line, if there is one, and writes text.
func (s *Screen) Printf(format string, args ...any) {
	s.Clear()
	s.write(fmt.Sprintf(format, args...))
}

// Live replaces the live line, which is cut at the width of the terminal: a line that
// wraps could not be replaced. It does nothing unless the Screen is a terminal.
func (s *Screen) Live(format string, args ...any) {
	if !s.live {
		return
	}
	s.write("\r\x1b[K" + cut(fmt.Sprintf(format, args...), s.width()-1))
	s.drawn = true
}

// cut returns the first width characters of text, with all of its colours. It returns
// all of text if width is not positive.
func cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	colour := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
			b.WriteRune(r)
			continue
		case width == 0:
			continue
		default:
			width--
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Err returns the first write error.
func (s *Screen) Err() error { return s.err }

// Clear removes the live line, so that other output can follow.
func (s *Screen) Clear() {
	if s.drawn {
		s.drawn = false
		s.write("\r\x1b[K")
	}
}

func (s *Screen) write(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, text)
	}
}

// Paint returns text in a colour, or as it is if the Screen has no colours.
func (s *Screen) Paint(c Color, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Bar returns a bar of share (0 to 1) of width characters, in eighths of a
// character. A share over 0 has at least one eighth; a share over 1 is cut and
// ends with an arrow.
func Bar(share float64, width int) string {
	if math.IsNaN(share) || share <= 0 {
		return ""
	}
	if share > 1 {
		return strings.Repeat("█", width-1) + "▶"
	}
	eighths := max(int(math.Round(share*float64(width)*8)), 1)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bar
}

// Count writes n with a comma between thousands.
func Count[T ~int | ~int64 | ~uint64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Percent writes a share (0 to 1) with one decimal.
func Percent(share float64) string {
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

// Ratio is part of whole as a share; 0 of 0 is 0.
func Ratio[T ~int | ~int64 | ~uint64](part, whole T) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
