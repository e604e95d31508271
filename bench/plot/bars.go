package main

import (
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// bar is one row of the picture: a row of recorded results. A row of further
// peers, "beside NAME", that belongs to it has a bar of its own below.
type bar struct {
	label   string
	measure string // the first column of the results; of equal ones the first counts
	unit    string // of the figures, if the results have none
	less    bool   // less is better: the bar is the inverse of the ratio
}

// figure returns a figure with its unit.
func (b bar) figure(text string) string {
	if strings.ContainsAny(text, "sB") {
		return text
	}
	return text + b.unit
}

// group is the bars of one benchmark, all against one peer.
type group struct {
	head string
	file string
	bars []bar
}

var groups = []group{
	{"Cache server, against memcached 1.6.18", "cache-server", []bar{
		{"gets, one in flight", "cpu per get, one in flight: requests a second", "/s", false},
		{"50-key gets", "cpu per key, 50-key gets: requests a second", "/s", false},
		{"cpu per set, 16 in flight", "cpu per set, 16 in flight", " µs", true},
		{"items of 100 B per MB of memory", "items per resident MB, 100 B values", "", false},
	}},
	{"Sockets, against libzmq 4.3.4", "sockets", []bar{
		{"PUSH to PULL over tcp, 64 B", "tcp throughput 64 B", "", false},
		{"PUSH to PULL over tcp, 64 KB", "tcp throughput 64 KB", "", false},
		{"REQ and REP, round trip of 1 B", "tcp latency 1 B, mean", "", true},
		{"PUB to 100 SUB, 64 B", "PUB to 100 SUB, 64 B, a tenth each", "", false},
		{"CURVE, 1 KB", "CURVE throughput 1 KB", "", false},
	}},
	{"Cache client, against gomemcache", "cache-client", []bar{
		{"get, 1 goroutine", "get, 1 goroutine", "", false},
		{"get, 64 goroutines", "get, 64 goroutines", "", false},
	}},
}

// result is one line of results.
type result struct {
	ours, theirs string // with their units
	ratio        float64
}

// results reads the results of that name in dir: NAME.txt, the output of a
// benchmark as it was printed, or else NAME.tsv, with the same columns separated
// by tabs: measure, Lintel, peer and ratio. Lines that begin with # are comments.
// An indented row belongs to the row above it: its measure is "ROW: INDENTED".
func results(dir, name string) (map[string]result, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".txt"))
	columns := regexp.MustCompile(` {2,}`)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(dir, name+".tsv"))
		columns = regexp.MustCompile("\t")
	}
	if err != nil {
		return nil, err
	}
	all := map[string]result{}
	parent := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		c := columns.Split(strings.TrimLeft(line, " "), -1)
		if strings.HasPrefix(line, "#") || len(c) < 4 {
			continue
		}
		if strings.HasPrefix(line, " ") {
			c[0] = parent + ": " + c[0]
		} else {
			parent = c[0]
		}
		ratio, err := strconv.ParseFloat(strings.TrimSuffix(c[3], "x"), 64)
		if _, again := all[c[0]]; err != nil || again {
			continue
		}
		all[c[0]] = result{c[1], c[2], ratio}
	}
	return all, nil
}

// beside returns the measures of have that compare a measure with further
// peers, by the name of the peer.
func beside(have map[string]result, measure string) map[string]string {
	peers := map[string]string{}
	for name := range have {
		rest, ok := strings.CutPrefix(name, measure)
		if !ok || len(rest) < 2 || rest[:2] != ": " && rest[:2] != ", " {
			continue
		}
		if peer, ok := strings.CutPrefix(rest[2:], "beside "); ok {
			peers[peer] = name
		}
	}
	return peers
}

const (
	width  = 880
	left   = 262 // where the bars begin
	right  = 240 // what is left for the figures behind the longest bar
	pitch  = 25  // from bar to bar
	height = 15  // of a bar
)

// bars draws the groups from the results in dir.
func bars(out io.Writer, dir string) error {
	type drawn struct {
		bar
		result
		times float64 // how many times as good as the peer
		class string  // in style
	}
	var all [][]drawn
	longest := 1.0
	lines := 0
	for _, g := range groups {
		have, err := results(dir, g.file)
		if err != nil {
			return err
		}
		var rows []drawn
		for _, b := range g.bars {
			r, ok := have[b.measure]
			if !ok || r.ratio <= 0 {
				return fmt.Errorf("%s: no row %q", g.file, b.measure)
			}
			add := func(b bar, r result, class string) {
				d := drawn{b, r, r.ratio, class}
				if b.less {
					d.times = 1 / r.ratio
				}
				longest = max(longest, d.times)
				rows = append(rows, d)
			}
			add(b, r, "bar")
			peers := beside(have, b.measure)
			for _, peer := range slices.Sorted(maps.Keys(peers)) {
				if r := have[peers[peer]]; r.ratio > 0 {
					b.label = "beside " + peer
					add(b, r, "bar more")
				}
			}
		}
		all = append(all, rows)
		lines += len(rows)
	}
	scale := (width - left - right) / longest
	total := 46 + lines*pitch + len(groups)*40
	open(out, width, total, "Lintel against memcached, libzmq and gomemcache")
	fmt.Fprintf(out, `<rect class="frame" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`+"\n", width-1, total-1)
	fmt.Fprintf(out, `<text class="dim" x="16" y="28">How many times as good as the other implementation. Longer is better; the line marks equality.</text>`+"\n")
	y := 38
	for i, g := range groups {
		y += 28
		fmt.Fprintf(out, `<text class="head" x="16" y="%d">%s</text>`+"\n", y, escape(g.head))
		top := y + 8
		for _, d := range all[i] {
			y += pitch
			fmt.Fprintf(out, `<text class="end" x="%d" y="%d">%s</text><rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`,
				left-10, y, escape(d.label), d.class, left, y-12, d.times*scale, height)
			fmt.Fprintf(out, `<text x="%.1f" y="%d">%.1f× <tspan class="dim">%s against %s</tspan></text>`+"\n",
				left+d.times*scale+8, y, d.times, escape(d.figure(d.ours)), escape(d.figure(d.theirs)))
		}
		fmt.Fprintf(out, `<line class="peer" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", left+scale, left+scale, top, y+6)
		y += 12
	}
	_, err := io.WriteString(out, "</svg>\n")
	return err
}

func escape(s string) string { return html.EscapeString(s) }
