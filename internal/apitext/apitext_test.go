package apitext_test

import (
	"slices"
	"testing"

	"lintel.dev/internal/apitext"
)

// TestLines describes a package of the standard library that does not change.
func TestLines(t *testing.T) {
	got, err := apitext.Lines(".", "", "errors", "container/ring")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"func errors.New(string) error",
		"func errors.Is(error, error) bool",
		"var errors.ErrUnsupported error",
		"type container/ring.Ring struct",
		"field container/ring.Ring.Value any",
		"method *container/ring.Ring.Len() int",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if !slices.IsSorted(got) {
		t.Error("the lines are not sorted")
	}
}

func TestUnknownPackage(t *testing.T) {
	if _, err := apitext.Lines(".", "", "lintel.dev/none"); err == nil {
		t.Error("got no error for a package that does not exist")
	}
}
