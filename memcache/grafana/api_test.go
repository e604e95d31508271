package memcache_test

import (
	"testing"

	"lintel.dev/internal/apitext"
	memcache "lintel.dev/memcache/grafana"
)

// TestAPI compares the API with the facts about the original in
// testdata/api.txt. ConnectTimeoutError is an alias here.
func TestAPI(t *testing.T) {
	missing, _, err := apitext.Compare("testdata/api.txt", "lintel.dev/memcache/grafana")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range missing {
		t.Errorf("missing: %s", line)
	}
	_ = memcache.ConnectTimeoutError{Addr: nil}
	var _ error = (*memcache.ConnectTimeoutError)(nil)
}
