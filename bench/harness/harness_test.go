package harness

import (
	"bytes"
	"context"
	"flag"
	"io"
	"math"
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		q    float64
		want float64
	}{
		{[]float64{3}, 0.5, 3},
		{[]float64{3, 1}, 0.5, 2},
		{[]float64{5, 1, 3}, 0.5, 3},
		{[]float64{1, 2, 3, 4, 5}, 0.99, 4.96},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := Quantile(c.v, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("quantile %v of %v is %v, want %v", c.q, c.v, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(Median([]float64{1, math.NaN()})) {
		t.Error("the median of nothing is a number")
	}
}

// TestTable measures three sides whose speed falls from round to round: the
// ratio does not change.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	table := Flags(fs, &out, "peer", 5)
	if err := fs.Parse([]string{"--rounds", "3", "-only", "^speed$"}); err != nil {
		t.Fatal(err)
	}
	var order []int
	speed := 8e6
	m := &Measure{
		Rows: []Row{
			{Name: "speed", Unit: "/s", Target: 2},
			{Name: "  size", Unit: "B", Limit: 10, Less: true},
		},
		Sides: 3,
		Refs:  []Ref{{Label: "beside bare", A: Ours, B: 2, Target: 1}},
		Take: func(_ context.Context, side int) ([]float64, error) {
			if order = append(order, side); len(order)%3 == 1 {
				speed /= 2
			}
			return []float64{speed * []float64{2, 1, 4}[side], 12}, nil
		},
	}
	if !table.Wants(m) || table.Wants(&Measure{Rows: []Row{{Name: "speedy"}}}) {
		t.Error("-only chose other rows")
	}
	table.Head("test")
	results, err := table.Run(t.Context(), m)
	if err != nil || len(results) != 2 || results[0].Ratio != 2 || results[0].Ours != 4e6 {
		t.Fatalf("%+v, %v", results, err)
	}
	want := []string{
		"speed 4 M/s 2 M/s 2.000 >= 2.00",
		"beside bare 4 M/s 8 M/s 0.500 >= 1.00 missed",
		"size 12 B 12 B 1.000 <= 10 B missed",
		"size, beside bare 12 B 12 B 1.000 <= 1.00",
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")[3:]
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); i >= len(want) || got != want[i] {
			t.Errorf("line %d is %q", i, got)
		}
	}
	if got := order[3]; got != 1 {
		t.Errorf("round 2 began with side %d", got)
	}
	fs.Parse([]string{"-rounds", "0"})
	if table.Check() == nil {
		t.Error("no rounds are accepted")
	}
}
