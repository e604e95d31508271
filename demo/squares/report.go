package squares

import (
	"fmt"

	"lintel.dev/demo"
)

const barWidth = 40

// printPass writes the line of the last run. Its bar is relative to the first
// run.
func printPass(s *demo.Screen, run int, passes []Pass) {
	p := passes[len(passes)-1]
	bar := demo.Bar(p.Seconds/passes[0].Seconds, barWidth)
	color := demo.Red
	switch found := p.ratio(); {
	case found >= 0.8:
		color = demo.Green
	case found >= 0.5:
		color = demo.Yellow
	}
	s.Printf("%3d  %7.3f s  %7s  %s\n", run+1, p.Seconds, demo.Percent(p.ratio()), s.Paint(color, bar))
}

// conclusion compares the time with that of the slow way as measured. With a
// fast slow way, or other load on the machine, a hit may take longer.
func (r *Report) conclusion() string {
	if r.SlowSeconds == 0 {
		return fmt.Sprintf("%.1f s in all: no miss, the cache was warm.", r.Seconds)
	}
	text := fmt.Sprintf("%.1f s in all; without a cache %.1f s: the slow way took %s", r.Seconds, r.Uncached, took(r.SlowSeconds))
	switch {
	case r.HitSeconds == 0:
		return text + ", and there was no hit."
	case r.HitSeconds < r.SlowSeconds:
		return text + ", a hit " + took(r.HitSeconds) + "."
	}
	return text + ", a hit " + took(r.HitSeconds) + ".\nNo gain: the slow way is too fast for one, or the machine is busy."
}

// took formats the time of a lookup.
func took(seconds float64) string {
	if seconds < 1e-5 {
		return fmt.Sprintf("%.0f ns", 1e9*seconds)
	}
	if seconds < 1e-3 {
		return fmt.Sprintf("%.0f µs", 1e6*seconds)
	}
	return fmt.Sprintf("%.1f ms", 1e3*seconds)
}

// printEnd writes the summary.
func (r *Report) printEnd(s *demo.Screen) {
	total := 0
	for _, server := range r.Servers {
		total += server.Keys
	}
	width := len("server")
	for _, server := range r.Servers {
		width = max(width, len(server.Addr))
	}
	s.Printf("\n%s\n", s.Paint(demo.Bold, fmt.Sprintf("%-*s  %7s  %7s  %7s", width, "server", "lookups", "keys", "share")))
	for _, server := range r.Servers {
		got := demo.Ratio(server.Keys, total)
		s.Printf("%-*s  %7s  %7s  %7s  %s\n", width, server.Addr, demo.Count(server.Lookups), demo.Count(server.Keys), demo.Percent(got),
			s.Paint(demo.Cyan, demo.Bar(got, barWidth)))
	}
	s.Printf("\n%s\n", r.conclusion())
	if n := r.Near; n != nil {
		s.Printf("near cache  %s lookups without a request, a hit %s (median)\n", demo.Count(n.Hits), took(n.HitSeconds))
		s.Printf("writer      %s changes; %s lookups were behind it, by %s at most\n", demo.Count(n.Changes), demo.Count(n.Behind), took(n.StalestSeconds))
		s.Printf("bound       %v\n", maxStale)
	}
}
