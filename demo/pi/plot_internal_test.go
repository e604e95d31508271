package pi

import (
	"bytes"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
)

// trailOf returns the samples of an estimate from random points.
func trailOf(points int) []sample {
	rng := rand.New(rand.NewPCG(3, 4))
	var tl tally
	for range points {
		x, y := rng.Float64(), rng.Float64()
		tl.add(x*x+y*y < 1)
	}
	return tl.samples()
}

func TestPlotPNG(t *testing.T) {
	for _, points := range []int{1, 10, 11, 100_000} {
		b, err := plot("png", trailOf(points))
		if err != nil {
			t.Fatalf("%d points: %v", points, err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%d points: %v", points, err)
		}
		if size := img.Bounds().Size(); size.X != plotWidth || size.Y != plotHeight {
			t.Errorf("%d points: %v", points, size)
		}
		seen := map[[3]uint32]bool{}
		for y := 0; y < plotHeight; y += 2 {
			for x := 0; x < plotWidth; x += 5 {
				r, g, b, _ := img.At(x, y).RGBA()
				seen[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
			}
		}
		for name, c := range map[string][3]uint32{"estimate": {0x1f, 0x5f, 0xbf}, "band": {0xcf, 0xdf, 0xf5}} {
			if !seen[c] {
				t.Errorf("%d points: no pixel has the colour of the %s", points, name)
			}
		}
	}
}

// TestPlotFits checks that the axes hold every estimate that is drawn, however
// many points there are and however far off the first ones are.
func TestPlotFits(t *testing.T) {
	for _, run := range []struct{ off, points int }{{0, 1}, {1, 0}, {60, 20_000}, {0, 3_000_000}, {0, 50}, {9, 0}} {
		var tl tally
		for range run.off {
			tl.add(true)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		for range run.points {
			x, y := rng.Float64(), rng.Float64()
			tl.add(x*x+y*y < 1)
		}
		a, trail := newPlotArea(tl.samples())
		for _, s := range trail {
			e := s.estimate()
			if e < a.low || e > a.high || s.points < a.first || s.points > a.last {
				t.Errorf("%+v: estimate %v after %d points is outside of %v to %v, %d to %d", run, e, s.points, a.low, a.high, a.first, a.last)
			}
		}
		if ticks := a.yTicks(); len(ticks) < 3 || len(ticks) > 12 {
			t.Errorf("%+v: ticks %v", run, ticks)
		}
		if run.points > 1_000_000 && a.high-a.low > 0.5 {
			t.Errorf("%+v: the axis from %v to %v shows the beginning, not the end", run, a.low, a.high)
		}
	}
}

func TestPlotSVG(t *testing.T) {
	b, err := plot("svg", trailOf(20_000))
	if err != nil {
		t.Fatal(err)
	}
	svg := string(b)
	for _, want := range []string{"<svg", "after 20,000 points", "estimate", "95 % confidence", ">10,000<", ">3.2<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing lacks %q", want)
		}
	}
}

func TestPlotFormat(t *testing.T) {
	for file, want := range map[string]string{"a.png": "png", "b/c.SVG": "svg"} {
		if got, err := plotFormat(file); got != want || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	for _, file := range []string{"", "png", "a.gif", "a.png.txt"} {
		if _, err := plotFormat(file); err == nil {
			t.Errorf("%q: no error", file)
		}
	}
}
