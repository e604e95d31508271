package cachecli

import (
	"bytes"
	"strings"
	"testing"
)

// TestStatsWidth prints figures as wide as they become in practice: a terminal
// of 80 columns shows each line whole.
func TestStatsWidth(t *testing.T) {
	ratio := 0.99999
	s := serverStats{
		Server: "cache-001.example.internal:11211", Version: "1.6.45", Uptime: 400 * 86400, Conns: 65536,
		Items: 5_000_000_000, Bytes: 1 << 39, LimitBytes: 1 << 40, HitRatio: &ratio, Evictions: 1e12, Expired: 1e10,
		Now: &nowStats{Gets: 12_345_678, Sets: 1_234_567, HitRatio: &ratio, Evictions: 123_456},
		Classes: []classStats{
			{Class: 63, ChunkSize: 1 << 30, Items: 1_234_567_890, Bytes: 1000 << 30, Evictions: 1e11, EvictedAge: 400 * 86400, OldestAge: 400 * 86400},
		},
	}
	var out bytes.Buffer
	printStats(&out, []serverStats{s, s})
	for line := range strings.Lines(out.String()) {
		if n := len(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTally(t *testing.T) {
	tally := &tally{keys: make(map[string]*keyCount)}
	for _, line := range []string{
		"ts=1.1 gid=1 type=item_get key=a status=found",
		"ts=1.1 gid=2 type=item_get key=a status=not_found",
		"ts=1.1 gid=3 type=item_store key=b%20c status=stored",
		"skipped=7",
		"ts=1.1 gid=4 type=conn_new",
	} {
		tally.line("s:1", line)
	}
	r := tally.report(1, 0)
	if r.Lines != 3 || r.Skipped != 7 || len(r.Keys) != 1 || r.Keys[0] != (keyCount{Key: "a", Server: "s:1", Reads: 2, Misses: 1}) {
		t.Errorf("%+v", r)
	}
	if r = tally.report(9, 0); len(r.Keys) != 2 || r.Keys[1].Key != "b c" || r.Keys[1].Writes != 1 {
		t.Errorf("%+v", r)
	}
}
