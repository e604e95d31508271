package shards

import (
	"fmt"
	"strings"

	"lintel.dev/demo"
)

// Report is the result of a run.
type Report struct {
	Words   int      `json:"words"`
	Servers int      `json:"servers"`
	Schemes []Scheme `json:"schemes"`
}

// Scheme is the result of one placement rule.
type Scheme struct {
	Name string `json:"name"`
	// Keys is the number of items on each server.
	Keys []int64 `json:"keys"`
	// Moved counts the keys that were not found after the list of servers had
	// changed.
	Moved Moved `json:"moved"`
}

// Moved counts keys that are placed on another server after a change.
type Moved struct {
	Joins      int64 `json:"joins"`       // one more server at the end of the list
	LastLeaves int64 `json:"last_leaves"` // the last server of the list goes
	NextLeaves int64 `json:"next_leaves"` // the second server of the list goes
}

const barWidth = 30

// print writes the report as tables.
func (r *Report) print(s *demo.Screen) {
	s.Printf("%s words on %d servers\n\n", demo.Count(r.Words), r.Servers)
	s.Printf("%s\n", s.Paint(demo.Bold, fmt.Sprintf("%-14s  %-9s  %7s  %7s", "placed by", "server", "keys", "share")))
	for _, scheme := range r.Schemes {
		var most int64
		for _, n := range scheme.Keys {
			most = max(most, n)
		}
		for i, n := range scheme.Keys {
			name, color := "", demo.Cyan
			if i == 0 {
				name = scheme.Name
			}
			if float64(n) > 1.25*float64(r.Words)/float64(r.Servers) {
				color = demo.Yellow
			}
			bar := demo.Bar(demo.Ratio(n, int64(r.Words))*float64(r.Servers)/2, barWidth)
			s.Printf("%-14s  %-9s  %7s  %7s  %s\n", name, serverName(i), demo.Count(n), demo.Percent(demo.Ratio(n, int64(r.Words))), s.Paint(color, bar))
		}
	}
	joins, leaves := 1/float64(r.Servers+1), 1/float64(r.Servers)
	s.Printf("\nShare of the keys that move when the list of servers changes\n\n")
	head := fmt.Sprintf("%-14s  %-22s%-22s", "placed by", serverName(r.Servers)+" joins", serverName(r.Servers-1)+" leaves")
	if r.Servers > 2 { // of two, the second is the last
		head += serverName(1) + " leaves"
	}
	s.Printf("%s\n", s.Paint(demo.Bold, strings.TrimRight(head, " ")))
	cell := func(share, least float64) string {
		color := demo.Green
		if share > 2*least {
			color = demo.Red
		}
		bar := demo.Bar(share, 10)
		pad := strings.Repeat(" ", 10-len([]rune(bar)))
		return fmt.Sprintf("%7s  %s%s   ", demo.Percent(share), s.Paint(color, bar), pad)
	}
	line := func(name string, joined, last, next float64) {
		text := cell(joined, joins) + cell(last, leaves)
		if r.Servers > 2 {
			text += cell(next, leaves)
		}
		s.Printf("%-14s  %s\n", name, strings.TrimRight(text, " "))
	}
	for _, scheme := range r.Schemes {
		share := func(n int64) float64 { return demo.Ratio(n, int64(r.Words)) }
		line(scheme.Name, share(scheme.Moved.Joins), share(scheme.Moved.LastLeaves), share(scheme.Moved.NextLeaves))
	}
	line("least possible", joins, leaves, leaves)
}

// serverName is the name that is hashed for server i, so the shares do not
// depend on its port.
func serverName(i int) string { return fmt.Sprintf("server%d", i) }
