package squares

import (
	"lintel.dev/demo"
)

// fillBar shows how far the filling of the table is.
type fillBar struct {
	screen *demo.Screen
}

func newFillBar(s *demo.Screen) *fillBar {
	if !s.Terminal() {
		s.Printf("filling table %s with %s rows\n", table, demo.Count(tableRows))
	}
	return &fillBar{s}
}

// at says that k rows are there.
func (b *fillBar) at(k int64) {
	if k%(tableRows/50) == 0 {
		share := demo.Ratio(k, tableRows)
		b.screen.Live("filling table %s  %-30s %4.0f %%", table, demo.Bar(share, 30), 100*share)
	}
}

func (b *fillBar) done() { b.screen.Clear() }
