package apitext_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"lintel.dev/internal/apitext"
)

// baseline has the API of the last release, or the one that users of this
// repository know.
const baseline = "testdata/api.txt"

// unstable are the packages whose API may still change freely, by the first
// folder of their path.
var unstable = []string{"nearcache"}

// TestCompatible compares the API of all public packages with the baseline. A
// break must be named in the changelog. make api writes the baseline.
func TestCompatible(t *testing.T) {
	now := public(t)
	if os.Getenv("LINTEL_API") == "write" {
		if err := os.WriteFile(baseline, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(baseline)
	if err != nil {
		t.Fatal(err)
	}
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range apitext.Breaks(strings.Split(strings.TrimSpace(string(file)), "\n"), now) {
		if !strings.Contains(string(changelog), b.Symbol) {
			t.Errorf("a program that uses %s does not compile any more: %s\nRestore it, or name %s in CHANGELOG.md.", b.Symbol, b.Line, b.Symbol)
		}
	}
}

// public returns the facts about all packages that users import.
func public(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{if ne .Name \"main\"}}{{.ImportPath}}{{end}}", "lintel.dev/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(string(out))
	packages = slices.DeleteFunc(packages, func(path string) bool {
		folders := strings.Split(strings.TrimPrefix(path, "lintel.dev/"), "/")
		return slices.Contains(folders, "internal") || slices.Contains(unstable, folders[0]) ||
			slices.Contains([]string{"docs", "interop", "demo"}, folders[0])
	})
	facts, err := apitext.Lines(".", "lintel.dev/", packages...)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestBreaks(t *testing.T) {
	before := []string{
		"func a/zmq.Old() error",
		"func a/zmq.Kept() error",
		"func a/zmq.Changed(int) error",
		"type a/zmq.Open interface",
		"method a/zmq.Open.M() error",
		"type a/zmq.Closed interface",
		"method a/zmq.Closed has unexported methods",
		"type a/zmq.T struct",
		"method *a/zmq.T.Gone() error",
		"field a/zmq.T.F int",
	}
	now := []string{
		"func a/zmq.Kept() error",
		"func a/zmq.New() error",
		"func a/zmq.Changed(string) error",
		"type a/zmq.Open interface",
		"method a/zmq.Open.M() error",
		"method a/zmq.Open.More() error",
		"type a/zmq.Closed interface",
		"method a/zmq.Closed has unexported methods",
		"method a/zmq.Closed.More() error",
		"type a/zmq.T struct",
		"method *a/zmq.T.Added() error",
		"field a/zmq.T.F int64",
	}
	var got []string
	for _, b := range apitext.Breaks(before, now) {
		got = append(got, b.Symbol)
	}
	want := []string{"zmq.Old", "zmq.Changed", "zmq.T.Gone", "zmq.T.F", "zmq.Open.More"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
	if got := apitext.Breaks(before, before); len(got) != 0 {
		t.Errorf("no change: got %v", got)
	}
}
