package memcache_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"lintel.dev/internal/apitext"
	memcache "lintel.dev/memcache/grafana"
)

// TestAPI compares the API with the facts about the original in
// testdata/api.txt. ConnectTimeoutError is an alias here.
func TestAPI(t *testing.T) {
	const path = "lintel.dev/memcache/grafana"
	got, err := apitext.Lines(".", path, path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("testdata/api.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSpace(line); !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	_ = memcache.ConnectTimeoutError{Addr: nil}
	var _ error = (*memcache.ConnectTimeoutError)(nil)
}
