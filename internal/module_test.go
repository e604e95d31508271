package internal_test

import (
	"os"
	"strings"
	"testing"
)

// TestModuleCanBeFetched checks that go.mod has no replace or exclude: the go
// command ignores them in a dependency, so `go get` would build something else.
func TestModuleCanBeFetched(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "replace", "exclude":
			t.Errorf("go.mod: %s", line)
		}
	}
}
