package webpage

import (
	"math"
	"sync"
)

// historyLength is how many rows a History keeps: five minutes.
const historyLength = 150

// History keeps the latest rows of values, for the lines of charts.
type History struct {
	mu   sync.Mutex  // guards rows
	rows [][]float64 // oldest first
}

// Add appends a row and drops the oldest if there are too many. The number of values
// must be that of all rows before. NaN is a missing value. h keeps values.
func (h *History) Add(values ...float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rows) == historyLength {
		copy(h.rows, h.rows[1:])
		h.rows = h.rows[:historyLength-1]
	}
	h.rows = append(h.rows, values)
}

// Line returns the values of a column as a line.
func (h *History) Line(name string, column int) Line {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := Line{Name: name, Values: make([]*float64, len(h.rows))}
	for i, row := range h.rows {
		if v := row[column]; !math.IsNaN(v) {
			v = short(v)
			l.Values[i] = &v
		}
	}
	return l
}

// Mean returns the mean of the last n values of a column, NaN if all of them are missing.
func (h *History) Mean(column, n int) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum, count := 0.0, 0
	for _, row := range h.rows[max(0, len(h.rows)-n):] {
		if v := row[column]; !math.IsNaN(v) {
			sum, count = sum+v, count+1
		}
	}
	return sum / float64(count)
}

// short rounds v to four significant digits, which is more than the page shows.
func short(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
