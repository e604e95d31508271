package engine

import (
	"slices"
	"testing"
)

// TestBudget checks which connections are closed, in which order.
func TestBudget(t *testing.T) {
	var b Budget
	b.SetLimit(100)
	var closed []string
	claims := map[string]*claim{}
	for _, name := range []string{"a", "b", "c", "d"} {
		claims[name] = &claim{close: func(error) { closed = append(closed, name) }}
	}
	for _, step := range []struct {
		name   string
		octets int
		closed []string
		total  int
	}{
		{"a", 500, nil, 500}, // alone
		{"b", 60, nil, 560},
		{"c", 40, nil, 600}, // the limit, without the largest
		{"b", 61, []string{"c"}, 561},
		{"c", 30, nil, 591},
		{"a", 0, nil, 91}, // complete
		{"d", 50, nil, 141},
		{"d", 51, nil, 142},
		{"d", 80, nil, 171},
		{"c", 90, []string{"b"}, 170},
		{"b", 20, nil, 190},
		{"b", 40, []string{"d"}, 130},
		{"c", 0, nil, 40},
		{"b", 0, nil, 0},
		{"a", 300, nil, 300},
		{"b", 200, []string{"b"}, 300}, // it is the only one beside the largest
		{"a", 0, nil, 0},
	} {
		closed = nil
		b.set(claims[step.name], step.octets)
		if !slices.Equal(closed, step.closed) || b.total != step.total {
			t.Fatalf("%s claims %d: closed %q, %d in all, expected %q and %d", step.name, step.octets, closed, b.total, step.closed, step.total)
		}
	}
	if b.claims.Len() > 0 || b.largest != nil {
		t.Error("claims are left")
	}
}
