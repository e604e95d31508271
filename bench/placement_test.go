package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	lintel "lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// TestGomemcachePlacement: what gomemcache stores over three servers our client
// finds where gomemcache put it, and the reverse.
func TestGomemcachePlacement(t *testing.T) {
	fleet := []string{server(t), server(t), server(t)}
	theirs := memcache.New(fleet...)
	defer theirs.Close()
	selector, err := placement.New("gomemcache")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := lintel.New(&lintel.Options{Selector: selector}, fleet...)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()

	ctx := context.Background()
	used := map[string]bool{}
	for i := range 300 {
		key := fmt.Sprintf("user:%d", i)
		if err := theirs.Set(&memcache.Item{Key: key, Value: []byte(key), Flags: 7}); err != nil {
			t.Fatal(err)
		}
		it, err := ours.Get(ctx, key)
		if err != nil {
			t.Fatalf("%s on %s: %v", key, ours.ServerFor(key), err)
		}
		if string(it.Value) != key || it.Flags != 7 {
			t.Errorf("%s came back as %q with flags %d", key, it.Value, it.Flags)
		}
		used[ours.ServerFor(key)] = true

		key = fmt.Sprintf("ours:%d", i)
		if err := ours.Set(ctx, &lintel.Item{Key: key, Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
		if got, err := theirs.Get(key); err != nil || string(got.Value) != key {
			t.Fatalf("%s: %v, %v", key, got, err)
		}
	}
	if len(used) != len(fleet) {
		t.Errorf("300 keys went to %d of %d servers", len(used), len(fleet))
	}
}
