package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	line    = 18  // pixels from line to line
	column  = 7.8 // pixels of a character
	padding = 16
)

// terminal draws what in holds as the output of command. Runs of block
// characters, the bars of a demonstration, are drawn as bars.
func terminal(out io.Writer, command string, in io.Reader) error {
	var text []string
	wide := utf8.RuneCountInString(command) + 2
	for s := bufio.NewScanner(in); s.Scan(); {
		text = append(text, strings.TrimRight(s.Text(), " "))
		wide = max(wide, utf8.RuneCountInString(s.Text()))
	}
	width, height := int(float64(wide)*column)+2*padding, (len(text)+1)*line+2*padding
	open(out, width, height, "Output of "+command)
	fmt.Fprintf(out, `<rect class="frame" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`+"\n", width-1, height-1)
	y := padding + 13
	fmt.Fprintf(out, `<text class="mono" x="%d" y="%d"><tspan class="prompt">$ </tspan>%s</text>`+"\n", padding, y, escape(command))
	for _, l := range text {
		y += line
		plain, blocks := l, 0.0
		if at := strings.IndexAny(l, "█▉▊▋▌▍▎▏"); at >= 0 {
			plain, blocks = l[:at], length(l[at:])
			x := padding + float64(utf8.RuneCountInString(plain))*column
			fmt.Fprintf(out, `<rect class="bar" x="%.1f" y="%d" width="%.1f" height="12" rx="1"/>`, x, y-11, blocks*column)
		}
		if plain = strings.TrimRight(plain, " "); plain != "" {
			// textLength keeps the columns in place whatever font the reader has.
			fmt.Fprintf(out, `<text class="mono" x="%d" y="%d" textLength="%.1f" xml:space="preserve">%s</text>`,
				padding, y, float64(utf8.RuneCountInString(plain))*column, escape(plain))
		}
		fmt.Fprintln(out)
	}
	_, err := io.WriteString(out, "</svg>\n")
	return err
}

// length is that of a bar of block characters, in columns.
func length(blocks string) (n float64) {
	for _, r := range blocks {
		if r >= '█' && r <= '▏' { // from eight eighths to one
			n += float64('▏'-r+1) / 8
		}
	}
	return n
}
