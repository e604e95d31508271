package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBarsOfFurtherPeers draws recorded results to which a run with a second
// peer was added: its rows, direct and indented, have bars of their own.
func TestBarsOfFurtherPeers(t *testing.T) {
	const recorded = "../../docs/benchmarks"
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(recorded)); err != nil {
		t.Fatal(err)
	}
	draw := func() string {
		var out bytes.Buffer
		if err := bars(&out, dir); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	before := strings.Count(draw(), "<rect class=\"bar")
	have, err := results(dir, "cache-server")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, b := range groups[0].bars {
		r := have[b.measure]
		row, indented, _ := strings.Cut(b.measure, ": ")
		if indented == "" {
			lines.WriteString(row + "  " + r.ours + "  " + r.theirs + "  0.500  <= 0.40\n  beside pogocache  1  2  0.500\n")
			continue
		}
		lines.WriteString(row + "  1  2  0.500\n  beside pogocache  1  2  0.500\n  " + indented + "  1  2  0.500\n  " + indented + ", beside pogocache  1  2  0.500\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "cache-server.txt"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	picture := draw()
	if n := strings.Count(picture, "<rect class=\"bar"); n != before+len(groups[0].bars) {
		t.Errorf("%d bars, want %d and one more for each of the cache server's rows, %d\n%s", n, before, len(groups[0].bars), picture)
	}
	if n := strings.Count(picture, ">beside pogocache<"); n != len(groups[0].bars) {
		t.Errorf("%d bars beside pogocache, want %d", n, len(groups[0].bars))
	}
}
