// Package harness runs the comparisons of bench: it measures the sides of a
// comparison in turn, and prints one line for each figure with the median of
// each side, the ratio, and whether a target was met.
//
// The machine's speed changes from second to second. Each round therefore
// measures every side once, the first side of a round changes from round to
// round, and the ratio is the median of the ratios of the rounds, not the ratio
// of the medians. Compare ratios; absolute figures vary between runs.
package harness

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Sides 0 and 1 of each measure. A measure may have more, for its Refs.
const (
	Ours = iota
	Peer
)

// Row is one line of the table: a figure that every side measures.
type Row struct {
	Name   string
	Unit   string  // shown after the figure: "us", "/s"
	Target float64 // bound of ours divided by the peer's; 0: none
	Limit  float64 // bound of ours alone, in Unit, in place of Target; 0: none
	Less   bool    // lower is better: targets and limits are upper bounds
}

// Ref is a further line below each row of a measure: side A beside side B. Below
// an indented row the label follows the row's name.
type Ref struct {
	Label  string
	A, B   int
	Target float64 // bound of A divided by B; 0: none
}

// Measure is what one or more rows are taken from.
type Measure struct {
	Rows  []Row
	Sides int // 0: two
	Refs  []Ref
	Once  bool // one round is enough: nothing in it is a time

	// Prepare, if not nil, runs before the first round and returns what ends
	// what it has started; that may be nil.
	Prepare func(ctx context.Context) (end func(), err error)

	// Take measures one side once and returns a figure for each row, NaN where
	// the side has none.
	Take func(ctx context.Context, side int) ([]float64, error)
}

// Result is a measured row.
type Result struct {
	Row
	Ours, Peer, Ratio float64 // NaN: not measured
}

// Table measures and prints.
type Table struct {
	Out    io.Writer
	Peer   string // what side 1 is called
	Rounds int
	Only   *regexp.Regexp // rows to measure; nil: all
	JSON   bool           // one line of JSON for each row

	NameWidth int // of the column with the rows' names, 42; 34 is a table of 80 columns

	progress io.Writer // a terminal, or nil
	notes    []string
}

// Flags adds the flags that every comparison has to fs: -rounds, -rows (and its
// older name -only) and -json. The table is complete once fs is parsed and
// Check has returned nil.
func Flags(fs *flag.FlagSet, out io.Writer, peer string, rounds int) *Table {
	t := &Table{Out: out, Peer: peer, Only: regexp.MustCompile(""), NameWidth: 42}
	fs.IntVar(&t.Rounds, "rounds", rounds, "measurements of each side, of which the median counts")
	only := func(text string) (err error) {
		t.Only, err = regexp.Compile(text)
		return err
	}
	fs.Func("rows", "regular `expression` of the rows to measure (default all)", only)
	fs.Func("only", "the same as -rows", only)
	if fi, err := os.Stderr.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		t.progress = os.Stderr
	}
	fs.BoolVar(&t.JSON, "json", false, "print one line of JSON for each row")
	return t
}

// Check returns an error for values that the flags must not have.
func (t *Table) Check() error {
	if t.Rounds < 1 {
		return fmt.Errorf("-rounds %d, expected at least 1", t.Rounds)
	}
	return nil
}

// Wants reports whether m has a row to be measured.
func (t *Table) Wants(m *Measure) bool {
	return t.Only == nil || slices.ContainsFunc(m.Rows, func(r Row) bool { return t.Only.MatchString(r.Name) })
}

// Head prints a line about the run and the heads of the columns.
func (t *Table) Head(title string) {
	if !t.JSON {
		fmt.Fprintf(t.Out, "%s, %d rounds\n\n%-*s %9s %9s %7s %s\n", title, t.Rounds, t.NameWidth, "measure", "ours", t.Peer, "ratio", "target")
	}
}

// Note prints a line below the rows of the measure that is being taken.
func (t *Table) Note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Run takes a measure and prints its rows.
func (t *Table) Run(ctx context.Context, m *Measure) (results []Result, err error) {
	name := m.Rows[0].Name
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	if m.Prepare != nil {
		end, err := m.Prepare(ctx)
		if end != nil {
			defer end()
		}
		if err != nil {
			return nil, err
		}
	}
	got, err := t.rounds(ctx, m)
	if err != nil {
		return nil, err
	}
	for i, r := range m.Rows {
		result := Result{r, Median(got[Ours][i]), math.NaN(), math.NaN()}
		if len(got) > Peer {
			result.Peer, result.Ratio = Median(got[Peer][i]), medianRatio(got[Ours][i], got[Peer][i])
		}
		if err := t.Print(result); err != nil {
			return nil, err
		}
		results = append(results, result)
		for _, ref := range m.Refs {
			label := ref.Label
			if indented, ok := strings.CutPrefix(r.Name, "  "); ok {
				label = indented + ", " + label
			}
			line := Result{
				Row{Name: "  " + label, Unit: r.Unit, Target: ref.Target, Less: r.Less},
				Median(got[ref.A][i]), Median(got[ref.B][i]), medianRatio(got[ref.A][i], got[ref.B][i]),
			}
			if err := t.Print(line); err != nil {
				return nil, err
			}
		}
	}
	for _, note := range t.notes {
		if !t.JSON {
			fmt.Fprintf(t.Out, "  (%s)\n", note)
		}
	}
	t.notes = nil
	return results, nil
}

// rounds returns the figures by side, row and round.
func (t *Table) rounds(ctx context.Context, m *Measure) ([][][]float64, error) {
	sides, rounds := max(m.Sides, 1), t.Rounds
	if m.Sides == 0 {
		sides = 2
	}
	if m.Once {
		rounds = 1
	}
	got := make([][][]float64, sides)
	for i := range got {
		got[i] = make([][]float64, len(m.Rows))
	}
	for round := range rounds {
		for i := range sides {
			side := (i + round) % sides
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if t.progress != nil {
				fmt.Fprintf(t.progress, "\r\x1b[K%s: side %d of %d, round %d of %d\r", m.Rows[0].Name, side+1, sides, round+1, rounds)
			}
			values, err := m.Take(ctx, side)
			if err == nil && len(values) != len(m.Rows) {
				err = errors.New("harness: a figure for each row is needed")
			}
			if err != nil {
				return nil, err
			}
			for j, v := range values {
				got[side][j] = append(got[side][j], v)
			}
		}
	}
	if t.progress != nil {
		fmt.Fprint(t.progress, "\x1b[K")
	}
	return got, nil
}

// Print writes the line of a result.
func (t *Table) Print(r Result) error {
	if t.JSON {
		number := func(v float64) any {
			if math.IsNaN(v) {
				return nil
			}
			return v
		}
		return json.NewEncoder(t.Out).Encode(map[string]any{
			"measure": r.Name, "unit": r.Unit, "ours": number(r.Ours), "peer": number(r.Peer), "ratio": number(r.Ratio),
			"target": r.target(), "met": r.met(),
		})
	}
	ratio := "-"
	if !math.IsNaN(r.Ratio) {
		ratio = fmt.Sprintf("%.3f", r.Ratio)
	}
	verdict := ""
	if !r.met() {
		verdict = " missed"
	}
	_, err := fmt.Fprintf(t.Out, "%-*s %9s %9s %7s %s%s\n", t.NameWidth, r.Name, show(r.Ours, r.Unit), show(r.Peer, r.Unit), ratio, r.target(), verdict)
	return err
}

// target is the bound as text.
func (r *Result) target() string {
	sign := ">="
	if r.Less {
		sign = "<="
	}
	switch {
	case r.Limit != 0:
		return sign + " " + show(r.Limit, r.Unit)
	case r.Target != 0:
		return fmt.Sprintf("%s %.2f", sign, r.Target)
	}
	return ""
}

// met reports whether the target was met. What was not measured, or has no
// target, meets it.
func (r *Result) met() bool {
	value, bound := r.Ratio, r.Target
	if r.Limit != 0 {
		value, bound = r.Ours, r.Limit
	}
	if bound == 0 || math.IsNaN(value) {
		return true
	}
	if r.Less {
		return value <= bound
	}
	return value >= bound
}

// show writes a figure with four digits. Times keep their unit.
func show(v float64, unit string) string {
	prefix := ""
	switch {
	case math.IsNaN(v):
		return "-"
	case unit == "us" || unit == "ns":
	case v >= 1e6:
		v, prefix = v/1e6, "M"
	case v >= 1e4:
		v, prefix = v/1e3, "k"
	}
	if prefix+unit == "" {
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.4g %s%s", v, prefix, unit)
}

func medianRatio(a, b []float64) float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return Median(ratios)
}

// Median returns the median of v, NaN if v is empty or holds a NaN.
func Median(v []float64) float64 { return Quantile(v, 0.5) }

// Quantile returns the q-quantile of v, interpolated between its neighbours.
// It is NaN if v is empty or holds a NaN.
func Quantile(v []float64, q float64) float64 {
	if len(v) == 0 || slices.ContainsFunc(v, math.IsNaN) {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	low, part := math.Modf(at)
	i := int(low)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + part*(v[i+1]-v[i])
}
