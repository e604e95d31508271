package pi

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lintel.dev/demo"
)

// plotFormat returns the format of a file by its extension.
func plotFormat(file string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(file)); ext {
	case ".png", ".svg":
		return ext[1:], nil
	}
	return "", demo.Inputf("--plot %q: expected a file named *.png or *.svg", file)
}

// openPlot creates the file before the run, so an error is reported before it.
func openPlot(name string) (*os.File, error) {
	if _, err := plotFormat(name); err != nil {
		return nil, err
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, demo.Inputf("--plot: %w: expected a file that can be written", err)
	}
	return f, nil
}

// The plot, in pixels: its size, the margins of the area that has data, and the
// sizes of text and lines.
const (
	plotWidth, plotHeight   = 1000, 560
	plotLeft, plotRight     = 84, 28
	plotTop, plotBottom     = 62, 64
	plotTitle, plotText     = 20, 14
	plotLine, plotThin      = 2, 1
	plotTick, plotLabelsGap = 6, 8
	plotDash, plotGap       = 6, 4

	plotFirst = 10   // points at the left edge, at least
	plotSpan  = 1000 // points at the right edge over those at the left, at least
)

var (
	inkColor  = color.RGBA{0x22, 0x2b, 0x38, 0xff}
	gridColor = color.RGBA{0xe3, 0xe7, 0xec, 0xff}
	lineColor = color.RGBA{0x1f, 0x5f, 0xbf, 0xff}
	bandColor = color.RGBA{0xcf, 0xdf, 0xf5, 0xff}
	piColor   = color.RGBA{0xc0, 0x39, 0x2b, 0xff}
)

// plot draws the estimate with its 95 % confidence band, and pi, over a
// logarithmic axis of points. It needs a sample of at least one point.
func plot(format string, trail []sample) ([]byte, error) {
	last := trail[len(trail)-1]
	c := newCanvas(format, plotWidth, plotHeight)
	a, trail := newPlotArea(trail)
	label := func(s string, x, y int) { c.text(s, point{x, y}, plotText, inkColor) }
	width := func(s string) int { return textWidth(s, plotText) }

	for _, tick := range a.yTicks() {
		y := a.y(tick)
		c.line([]point{{a.left, y}, {a.right, y}}, gridColor, plotThin)
		text := strconv.FormatFloat(tick, 'f', a.yDecimals(), 64)
		label(text, a.left-plotLabelsGap-width(text), y+plotText/3)
	}
	for n := a.first; n <= last.points; n *= 10 {
		x := a.x(n)
		c.line([]point{{x, a.top}, {x, a.bottom + plotTick}}, gridColor, plotThin)
		text := demo.Count(n)
		label(text, x-width(text)/2, a.bottom+plotTick+plotLabelsGap+plotText)
	}

	var band, lower []point
	for _, s := range trail {
		x, half := a.x(s.points), s.errorBand()
		band = append(band, point{x, a.y(s.estimate() + half)})
		lower = append(lower, point{x, a.y(s.estimate() - half)})
	}
	slices.Reverse(lower)
	c.area(append(band, lower...), bandColor)
	y := a.y(math.Pi)
	for x := a.left; x < a.right; x += plotDash + plotGap {
		c.line([]point{{x, y}, {min(x+plotDash, a.right), y}}, piColor, plotThin)
	}
	c.line(a.line(trail), lineColor, plotLine)
	c.line([]point{{a.left, a.top}, {a.left, a.bottom}, {a.right, a.bottom}}, inkColor, plotThin)

	c.text(fmt.Sprintf("pi is about %.5f ± %.5f after %s points", last.estimate(), last.errorBand(), demo.Count(last.points)),
		point{a.left, plotTop / 2}, plotTitle, inkColor)
	legend := a.left
	for _, entry := range []struct {
		name  string
		color color.RGBA
		thick int
	}{{"estimate", lineColor, 3}, {"95 % confidence", bandColor, 10}, {"pi", piColor, 2}} {
		y := plotTop - 10
		c.area(rectangle(legend, y-4-entry.thick/2, legend+20, y-4+(entry.thick+1)/2), entry.color)
		label(entry.name, legend+26, y)
		legend += 26 + width(entry.name) + 24
	}
	axis := "points (logarithmic)"
	label(axis, (a.left+a.right-width(axis))/2, plotHeight-12)
	return c.bytes()
}

// plotArea converts points and estimates to pixels.
type plotArea struct {
	left, right, top, bottom int
	first, last              int64
	low, high                float64
}

// newPlotArea returns an area that holds the estimates of the last decades of
// points and pi, and the samples in it. The confidence band may leave it.
func newPlotArea(trail []sample) (plotArea, []sample) {
	a := plotArea{
		left: plotLeft, right: plotWidth - plotRight, top: plotTop, bottom: plotHeight - plotBottom,
		first: plotFirst, last: trail[len(trail)-1].points,
	}
	for a.first*plotSpan*10 <= a.last {
		a.first *= 10
	}
	if a.last <= a.first {
		a.first = 1
	}
	for len(trail) > 1 && trail[0].points < a.first {
		trail = trail[1:]
	}
	// Without a spread of its own, the range is that of the error at the end.
	half := trueBand(a.last)
	a.low, a.high = math.Pi-half, math.Pi+half
	for _, s := range trail {
		a.low, a.high = min(a.low, s.estimate()), max(a.high, s.estimate())
	}
	margin := (a.high - a.low) / 20
	a.low, a.high = a.low-margin, a.high+margin
	return a, trail
}

func (a plotArea) x(points int64) int {
	span := math.Log(float64(a.last) / float64(a.first))
	if span <= 0 {
		return a.left
	}
	share := math.Log(float64(points)/float64(a.first)) / span
	return a.left + int(math.Round(max(share, 0)*float64(a.right-a.left)))
}

// y clamps to the edges of the area: the confidence band may exceed them.
func (a plotArea) y(value float64) int {
	share := (min(max(value, a.low), a.high) - a.low) / (a.high - a.low)
	return a.bottom - int(math.Round(share*float64(a.bottom-a.top)))
}

// line returns the points of the estimate's line.
func (a plotArea) line(trail []sample) []point {
	line := make([]point, len(trail))
	for i, s := range trail {
		line[i] = point{a.x(s.points), a.y(s.estimate())}
	}
	return line
}

// yTicks are round values, four to nine of them.
func (a plotArea) yTicks() []float64 {
	step := a.yStep()
	var ticks []float64
	for i := math.Ceil(a.low / step); i*step <= a.high; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

func (a plotArea) yStep() float64 {
	step := math.Pow(10, math.Floor(math.Log10(a.high-a.low)))
	for _, finer := range []float64{1, 0.5, 0.2} {
		if (a.high-a.low)/(step*finer) >= 4 {
			return step * finer
		}
	}
	return step / 10
}

func (a plotArea) yDecimals() int {
	return max(0, int(math.Ceil(-math.Log10(a.yStep())-1e-9)))
}
