package pi

import (
	"bytes"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
)

// trailOf is how an estimate of so many points came about.
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

// An estimate above the picture is not drawn along its upper edge.
func TestPlotLeavesOut(t *testing.T) {
	var tl tally
	for range 60 {
		tl.add(true)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		x, y := rng.Float64(), rng.Float64()
		tl.add(x*x+y*y < 1)
	}
	b, err := plot("png", tl.samples())
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for x := plotLeft; x < plotWidth-plotRight; x++ {
		if r, g, b, _ := img.At(x, plotTop).RGBA(); [3]uint32{r >> 8, g >> 8, b >> 8} == [3]uint32{0x1f, 0x5f, 0xbf} {
			drawn++
		}
	}
	if drawn > 40 { // it crosses the edge, at a flat angle; it would be drawn there for 340
		t.Errorf("the estimate is drawn for %d pixels at the edge", drawn)
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
