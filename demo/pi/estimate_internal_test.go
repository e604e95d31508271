package pi

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestTallyKeepsAShortTrail(t *testing.T) {
	var tl tally
	const points = 1_000_000
	for i := range points {
		tl.add(i%4 != 0)
	}
	trail := tl.samples()
	if len(trail) < 100 || len(trail) > 12*20+20 {
		t.Errorf("%d samples of %d points", len(trail), points)
	}
	if first, last := trail[0], trail[len(trail)-1]; first.points != 1 || last.points != points || last.yes != points*3/4 {
		t.Errorf("from %+v to %+v", first, last)
	}
	for i := 1; i < len(trail); i++ {
		if trail[i].points <= trail[i-1].points {
			t.Fatalf("sample %d: %+v after %+v", i, trail[i], trail[i-1])
		}
	}
	if got := trail[len(trail)-1].estimate(); got != 3 {
		t.Errorf("estimate %v, want 3", got)
	}
}

// The band must contain pi in 95 % of the runs: of 400 fixed runs in 380, plus
// or minus four standard deviations.
func TestErrorBandHoldsPi(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	held := 0
	for range 400 {
		var s sample
		for range 1000 {
			s.points++
			if x, y := rng.Float64(), rng.Float64(); x*x+y*y < 1 {
				s.yes++
			}
		}
		if math.Abs(s.estimate()-math.Pi) <= s.errorBand() {
			held++
		}
	}
	if held < 362 || held > 397 {
		t.Errorf("the band held pi in %d of 400 runs, want about 380", held)
	}
}

func TestWeightedUndoesUnequalLosses(t *testing.T) {
	count := func(n int64) *int64 { return &n }
	branch := func(answered, yes int64) Branch { return Branch{Answered: count(answered), Yes: count(yes)} }
	quadrants := []Branch{branch(1000, 1000), branch(500, 415), branch(100, 83), branch(200, 95)}
	got, ok := weighted(quadrants)
	if want := 1 + 0.83 + 0.83 + 0.475; !ok || math.Abs(got-want) > 1e-12 {
		t.Errorf("weighted = %v, %v; want %v", got, ok, want)
	}
	if _, ok := weighted(append(quadrants[:3:3], branch(0, 0))); ok {
		t.Error("an estimate without a single answer in a quadrant")
	}
	if _, ok := weighted(make([]Branch, 4)); ok {
		t.Error("an estimate without any figures")
	}
}
