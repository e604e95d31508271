package fleet_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/demo/internal/fleet"
	"lintel.dev/memcache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client that knows one server discovers all, and each has its own items.
func TestOneServerNamesThemAll(t *testing.T) {
	f, err := fleet.Start(3, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	client, err := memcache.Discover(t.Context(), f.Addrs()[2], fleet.ClientOptions())
	if err != nil {
		t.Fatal(err)
	}
	if got := client.Servers(); !slices.Equal(got, f.Addrs()) {
		t.Errorf("discovered %v, want %v", got, f.Addrs())
	}
	for i := range 300 {
		if err := client.Set(t.Context(), &memcache.Item{Key: fmt.Sprint("key", i)}); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := client.Stats(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range f.Addrs() {
		if n := stats[addr]["curr_items"]; n == "" || n == "0" || n == "300" {
			t.Errorf("%s holds %q of 300 items", addr, n)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
}
