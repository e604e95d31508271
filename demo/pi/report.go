package pi

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lintel.dev/demo"
)

// Report is the result of a run. A value that the roles of this process cannot
// know is nil.
type Report struct {
	Pi       *float64 `json:"pi"`       // four times the share of verdicts Y
	Error    *float64 `json:"error"`    // half the 95 % confidence band, without losses
	Weighted *float64 `json:"weighted"` // pi with all quadrants weighted equally, whatever they lost
	Points   *int64   `json:"points"`   // verdicts counted
	Yes      *int64   `json:"yes"`      // verdicts Y among them
	Branches []Branch `json:"branches"`
	// Dropped are points that the bitsource did not queue for a subscriber
	// because its queue was at the high-water mark.
	Dropped *uint64 `json:"dropped"`
	// Subscribers are the same by subscriber, in no order.
	Subscribers []Subscriber `json:"subscribers,omitempty"`
	Malformed   int64        `json:"malformed"` // messages in no form that this process knows
	Seconds     float64      `json:"seconds"`
}

// Subscriber is a connection of the bitsource.
type Subscriber struct {
	Remote  string `json:"remote"` // address, empty within the process
	Sent    uint64 `json:"sent"`
	Dropped uint64 `json:"dropped"`
}

// report collects the figures before the sockets are closed.
func (s *stage) report(took time.Duration) *Report {
	r := &Report{Malformed: s.counts.malformed.Load(), Seconds: math.Round(took.Seconds()*1000) / 1000}
	if s.pull != nil {
		v := s.counts.verdicts()
		r.Points, r.Yes = &v.points, &v.yes
		if v.points > 0 {
			pi, half := v.estimate(), v.errorBand()
			r.Pi, r.Error = &pi, &half
		}
	}
	for i, prefix := range branches {
		b := Branch{Prefix: prefix}
		load := func(n int64) *int64 { return &n }
		if s.pub != nil {
			b.Published = load(s.counts.published[i].Load())
		}
		if i == 0 && s.cfg.plays(AlwaysYes) || i > 0 && s.cfg.plays(Judge) {
			b.Answered = load(s.counts.answered[i].Load())
			b.Yes = load(s.counts.yes[i].Load())
			if b.Published != nil {
				b.Lost = load(*b.Published - *b.Answered)
			}
		}
		r.Branches = append(r.Branches, b)
	}
	if w, ok := weighted(r.Branches); ok {
		r.Weighted = &w
	}
	if s.pub != nil {
		stats := s.pub.Stats()
		r.Dropped = &stats.DroppedFull
		for _, p := range stats.Peers {
			r.Subscribers = append(r.Subscribers, Subscriber{Remote: p.Remote, Sent: p.MessagesSent, Dropped: p.DroppedFull})
		}
	}
	return r
}

// bentFrom is the least difference between the loss shares of two branches at
// which the report warns about a biased estimate.
const bentFrom = 0.001

// print writes the report as a table.
func (r *Report) print(s *demo.Screen, cfg *Config) {
	least, most := 1.0, 0.0
	for _, b := range r.Branches {
		if b.Lost != nil {
			lost := demo.Ratio(*b.Lost, *b.Published)
			least, most = min(least, lost), max(most, lost)
		}
	}
	bent := most-least > bentFrom
	if r.Pi != nil {
		s.Printf("%s after %s points in %.1f s, %s/s\n", s.Paint(demo.Bold, fmt.Sprintf("pi is about %.5f ± %.5f", *r.Pi, *r.Error)),
			demo.Count(*r.Points), r.Seconds, demo.Count(int64(float64(*r.Points)/max(r.Seconds, 0.001))))
		holds := "95 % confidence band"
		if bent {
			holds = "95 % confidence band if nothing were lost"
		}
		s.Printf("%s\n\n", s.Paint(demo.Dim, fmt.Sprintf("%s; the error is %+.5f", holds, *r.Pi-math.Pi)))
	} else {
		s.Printf("%s for %.1f s\n\n", strings.Join(cfg.Roles, ", "), r.Seconds)
	}

	worker := map[bool]string{true: AlwaysYes, false: Judge}
	known := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return demo.Count(*n)
	}
	share := func(part, whole *int64) string {
		if part == nil || whole == nil {
			return "-"
		}
		return demo.Percent(demo.Ratio(*part, *whole))
	}
	s.Printf("%s\n", s.Paint(demo.Bold, fmt.Sprintf("%-8s%-12s%12s%12s%12s%10s%12s", "branch", "worker", "published", "answered", "lost", "", "inside")))
	for i, b := range r.Branches {
		color := demo.Green
		if b.Lost != nil && demo.Ratio(*b.Lost, *b.Published) > bentFrom {
			color = demo.Yellow
		}
		lost := fmt.Sprintf("%12s%10s", known(b.Lost), share(b.Lost, b.Published))
		s.Printf("%-8s%-12s%12s%12s%s%12s\n", b.Prefix, worker[i == 0], known(b.Published), known(b.Answered), s.Paint(color, lost), share(b.Yes, b.Answered))
	}
	if r.Dropped != nil && *r.Dropped > 0 {
		s.Printf("\nThe bitsource dropped %s points at the high-water marks of %d subscribers.\n", demo.Count(*r.Dropped), len(r.Subscribers))
	}
	if r.Weighted != nil && bent {
		s.Printf("\nThe branches lost different shares of their points, so the estimate is biased.\nWith all quadrants weighted equally pi is about %s.\n",
			s.Paint(demo.Bold, fmt.Sprintf("%.5f", *r.Weighted)))
	}
	if r.Malformed > 0 {
		s.Printf("\n%s messages did not have the wire format.\n", demo.Count(r.Malformed))
	}
	if cfg.Plot != "" && r.Pi != nil {
		s.Printf("\nThe estimate as it converges is drawn in %s\n", cfg.Plot)
	}
}
