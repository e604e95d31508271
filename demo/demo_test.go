package demo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"lintel.dev/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBarGrowsWithItsShare(t *testing.T) {
	last := -1
	for i := range 1001 {
		bar := demo.Bar(float64(i)/1000, 40)
		runes := []rune(bar)
		if len(runes) > 40 {
			t.Fatalf("share %d/1000: %d characters of 40", i, len(runes))
		}
		eighths := 0
		for _, r := range runes {
			eighths += map[rune]int{'█': 8, '▉': 7, '▊': 6, '▋': 5, '▌': 4, '▍': 3, '▎': 2, '▏': 1}[r]
		}
		if eighths < last || i > 0 && eighths == 0 {
			t.Fatalf("share %d/1000: bar of %d eighths after one of %d", i, eighths, last)
		}
		last = eighths
	}
	if last != 320 {
		t.Fatalf("a whole bar has %d eighths, want 320", last)
	}
	for _, share := range []float64{-1, 0, math.NaN()} {
		if bar := demo.Bar(share, 40); bar != "" {
			t.Errorf("Bar(%v) = %q, want none", share, bar)
		}
	}
	if bar := demo.Bar(1.5, 10); utf8.RuneCountInString(bar) != 10 || bar == demo.Bar(1, 10) {
		t.Errorf("Bar(1.5) = %q: want 10 characters, marked as cut", bar)
	}
}

func TestScreenInPipe(t *testing.T) {
	var buf bytes.Buffer
	s := demo.NewScreen(&buf)
	s.Live("working on %d", 1)
	s.Printf("%s\n", s.Paint(demo.Red, "done"))
	if got := buf.String(); got != "done\n" {
		t.Errorf("wrote %q, want no colour and no live line", got)
	}
}

func TestScreenKeepsFirstError(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	s := demo.NewScreen(f)
	f.Close()
	s.Printf("lost")
	if !errors.Is(s.Err(), fs.ErrClosed) {
		t.Errorf("Err() = %v, want %v", s.Err(), fs.ErrClosed)
	}
}

func TestInputError(t *testing.T) {
	err := fmt.Errorf("pi: %w", demo.Inputf("--words: %w", fs.ErrNotExist))
	var input *demo.InputError
	if !errors.As(err, &input) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: want an InputError that wraps its cause", err)
	}
}

func ExampleCount() {
	fmt.Println(demo.Count(0), demo.Count(999), demo.Count(1000), demo.Count(-1234567))
	// Output: 0 999 1,000 -1,234,567
}

func ExamplePercent() {
	fmt.Println(demo.Percent(demo.Ratio(1, 3)), demo.Percent(demo.Ratio(0, 0)))
	// Output: 33.3 % 0.0 %
}
