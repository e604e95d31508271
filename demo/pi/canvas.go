package pi

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"

	"github.com/golang/freetype/raster"
	"github.com/golang/freetype/truetype"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/math/fixed"
)

// point is a position in pixels.
type point struct{ x, y int }

// canvas is what a picture is drawn on. Later shapes cover earlier ones.
type canvas interface {
	// line draws a line through the points.
	line(points []point, c color.RGBA, width int)
	// area fills a polygon.
	area(points []point, c color.RGBA)
	// text draws text whose baseline begins at p. size is in pixels.
	text(s string, p point, size int, c color.RGBA)
	// bytes returns the file.
	bytes() ([]byte, error)
}

// newCanvas returns a white canvas for a format of plotFormat.
func newCanvas(format string, width, height int) canvas {
	if format == "svg" {
		c := &svgCanvas{}
		fmt.Fprintf(&c.b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\">\n", width, height)
		fmt.Fprintf(&c.b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height)
		return c
	}
	c := &pngCanvas{img: image.NewRGBA(image.Rect(0, 0, width, height))}
	draw.Draw(c.img, c.img.Bounds(), image.White, image.Point{}, draw.Src)
	return c
}

// rectangle returns the corners of a rectangle.
func rectangle(left, top, right, bottom int) []point {
	return []point{{left, top}, {right, top}, {right, bottom}, {left, bottom}}
}

// svgCanvas writes an SVG file.
type svgCanvas struct{ b strings.Builder }

func (c *svgCanvas) points(points []point) string {
	words := make([]string, len(points))
	for i, p := range points {
		words[i] = fmt.Sprintf("%d,%d", p.x, p.y)
	}
	return strings.Join(words, " ")
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func (c *svgCanvas) line(points []point, ink color.RGBA, width int) {
	fmt.Fprintf(&c.b, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%d\" stroke-linejoin=\"round\"/>\n", c.points(points), hex(ink), width)
}

func (c *svgCanvas) area(points []point, ink color.RGBA) {
	fmt.Fprintf(&c.b, "<polygon points=\"%s\" fill=\"%s\"/>\n", c.points(points), hex(ink))
}

func (c *svgCanvas) text(s string, p point, size int, ink color.RGBA) {
	fmt.Fprintf(&c.b, "<text x=\"%d\" y=\"%d\" font-family=\"Go, Helvetica, Arial, sans-serif\" font-size=\"%d\" fill=\"%s\">%s</text>\n",
		p.x, p.y, size, hex(ink), html.EscapeString(s))
}

func (c *svgCanvas) bytes() ([]byte, error) { return []byte(c.b.String() + "</svg>\n"), nil }

// pngCanvas draws into an image.
type pngCanvas struct{ img *image.RGBA }

func (c *pngCanvas) path(points []point) raster.Path {
	var path raster.Path
	for i, p := range points {
		at := fixed.Point26_6{X: fixed.I(p.x) + 32, Y: fixed.I(p.y) + 32} // the centre of the pixel
		if i == 0 {
			path.Start(at)
		} else {
			path.Add1(at)
		}
	}
	return path
}

func (c *pngCanvas) rasterize(ink color.RGBA, add func(r *raster.Rasterizer)) {
	size := c.img.Bounds().Size()
	r := raster.NewRasterizer(size.X, size.Y)
	r.UseNonZeroWinding = true
	add(r)
	painter := raster.NewRGBAPainter(c.img)
	painter.SetColor(ink)
	r.Rasterize(painter)
}

func (c *pngCanvas) line(points []point, ink color.RGBA, width int) {
	c.rasterize(ink, func(r *raster.Rasterizer) {
		r.AddStroke(c.path(points), fixed.I(width), raster.ButtCapper, raster.RoundJoiner)
	})
}

func (c *pngCanvas) area(points []point, ink color.RGBA) {
	c.rasterize(ink, func(r *raster.Rasterizer) { r.AddPath(c.path(append(points, points[0]))) })
}

func (c *pngCanvas) text(s string, p point, size int, ink color.RGBA) {
	d := font.Drawer{Dst: c.img, Src: image.NewUniform(ink), Face: face(size), Dot: fixed.P(p.x, p.y)}
	d.DrawString(s)
}

func (c *pngCanvas) bytes() ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, c.img)
	return b.Bytes(), err
}

// face returns the Go font. size is in pixels.
func face(size int) font.Face {
	f, err := truetype.Parse(goregular.TTF)
	if err != nil {
		panic(err) // the font is part of the program
	}
	return truetype.NewFace(f, &truetype.Options{Size: float64(size), Hinting: font.HintingFull})
}

// textWidth returns the width of s in pixels.
func textWidth(s string, size int) int { return font.MeasureString(face(size), s).Round() }
