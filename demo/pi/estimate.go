package pi

import "math"

// tally counts verdicts and records how the estimate converges.
type tally struct {
	yes, points int64
	trail       []sample
	next        int64 // points at which the next sample is taken
}

// sample is the state of the tally after some points.
type sample struct{ yes, points int64 }

// perDoubling is the number of samples that are kept while the number of points
// doubles: enough for a smooth curve over a logarithmic axis, and at most a few
// hundred in a run.
const perDoubling = 12

// add counts one verdict.
func (t *tally) add(isYes bool) {
	t.points++
	if isYes {
		t.yes++
	}
	if t.points >= t.next {
		t.trail = append(t.trail, sample{t.yes, t.points})
		t.next = max(t.points+1, int64(math.Ceil(float64(t.points)*math.Exp2(1.0/perDoubling))))
	}
}

// samples returns the samples and, as the last one, the present state.
func (t *tally) samples() []sample {
	if n := len(t.trail); n > 0 && t.trail[n-1].points < t.points {
		return append(t.trail[:n:n], sample{t.yes, t.points})
	}
	return t.trail
}

// estimate returns four times the share of points inside the circle.
func (s sample) estimate() float64 {
	return 4 * float64(s.yes) / float64(s.points)
}

// confidence is the half width, in standard errors, of the 95 % confidence
// band.
const confidence = 1.96

// errorBand returns the half width of that band around the estimate.
func (s sample) errorBand() float64 {
	// Two more points on either side (Agresti and Coull) keep the band valid
	// while all verdicts are the same.
	n := float64(s.points) + 4
	p := (float64(s.yes) + 2) / n
	return 4 * confidence * math.Sqrt(p*(1-p)/n)
}

// trueBand returns the half width of the band around pi in which an unbiased
// estimate from this many points lies with a probability of 95 %.
func trueBand(points int64) float64 {
	const p = math.Pi / 4
	return 4 * confidence * math.Sqrt(p*(1-p)/float64(points))
}

// Branch is one quadrant of the unit square, named by the two characters its
// points start with. A count that this process cannot know is nil.
type Branch struct {
	Prefix    string `json:"prefix"`
	Published *int64 `json:"published"` // points the bitsource sent
	Answered  *int64 `json:"answered"`  // points a worker gave a verdict on
	Yes       *int64 `json:"yes"`       // verdicts Y among them
	Lost      *int64 `json:"lost"`      // published and never answered
}

// weighted estimates pi from branches that lost different shares of their
// points: each branch is a quarter of the square, whatever share of its points
// arrived. It needs an answer in every branch.
func weighted(branches []Branch) (float64, bool) {
	sum := 0.0
	for _, b := range branches {
		if b.Answered == nil || *b.Answered == 0 {
			return 0, false
		}
		sum += float64(*b.Yes) / float64(*b.Answered)
	}
	return sum, len(branches) == 4
}
