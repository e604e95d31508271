package squares

import (
	"bytes"
	"strings"
	"testing"

	"lintel.dev/demo"
	"lintel.dev/memcache/memcachetest"
)

// TestNear: values come from memory, and none is behind the writer for longer than
// the bound.
func TestNear(t *testing.T) {
	cfg := small(nil)
	cfg.Near, cfg.Runs, cfg.Requests = true, 4, 2000
	r := runJSON(t, cfg)
	if r.Near == nil || r.Near.Hits == 0 || r.Near.HitSeconds <= 0 {
		t.Fatalf("%+v", r.Near)
	}
	if r.Near.StalestSeconds > r.Near.BoundSeconds {
		t.Errorf("a value was behind the writer for %v s, the bound is %v s", r.Near.StalestSeconds, r.Near.BoundSeconds)
	}
	var out bytes.Buffer
	cfg.Out, cfg.JSON = &out, false
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "near cache") {
		t.Errorf("%s", &out)
	}
}

func TestNearNeedsInvalidations(t *testing.T) {
	addr, _ := memcachetest.Start(t, nil)
	cfg := small(new(bytes.Buffer))
	cfg.Near, cfg.Servers = true, []string{addr}
	err := Run(t.Context(), cfg)
	if _, ok := err.(*demo.InputError); !ok || !strings.Contains(err.Error(), "--invalidate") {
		t.Errorf("%v, expected an InputError that names --invalidate", err)
	}
}
