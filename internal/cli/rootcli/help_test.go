package rootcli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpExamples types what the help of every command shows as an example,
// as far as the flags and arguments: a flag that is gone would fail here.
func TestHelpExamples(t *testing.T) {
	root := New("test")
	typed := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		examples := commandLines(cmd.Example)
		itself := func(words []string) bool {
			named, _, err := root.Find(words[1:])
			return err == nil && named == cmd
		}
		if len(cmd.Commands()) == 0 && !slices.ContainsFunc(examples, itself) {
			t.Errorf("the help of %s has no example of it", cmd.CommandPath())
		}
		for _, words := range examples {
			typed++
			if err := typeIn(words[1:]); err != nil {
				t.Errorf("help of %s: %q: %v", cmd.CommandPath(), words, err)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	if typed < 60 {
		t.Errorf("%d examples found: the help is not read any more", typed)
	}
	for _, wrong := range []string{"cache get", "zmq push --zipf 1", "perf cache more", "perf local_thr tcp://a:1 1", "nothing", "memcached -p many"} {
		if typeIn(words(wrong)) == nil {
			t.Errorf("%q is taken for right", wrong)
		}
	}
}

// TestHelpWidth checks that the help of every command fits 80 columns.
func TestHelpWidth(t *testing.T) {
	root := New("test")
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		var out strings.Builder
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// typeIn finds the command and gives it its flags and arguments; it is not run.
func typeIn(args []string) error {
	root := New("test")
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.DisableFlagParsing {
		return cmd.ValidateArgs(rest)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// commandLines are the words of those commands in a shell text that are ours.
func commandLines(text string) [][]string {
	var all [][]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		for _, part := range strings.Split(line, " | ") {
			part, _, _ = strings.Cut(part, " < ")
			if w := words(part); len(w) > 0 && w[0] == "lintel" {
				all = append(all, w)
			}
		}
	}
	return all
}

// words splits as a shell does, with single quotes alone.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

func TestWords(t *testing.T) {
	got := fmt.Sprintf("%q", commandLines("  seq 9 | lintel zmq push --bind 'tcp://*:1' \\\n    --json\n  lintel cache set a < b\n"))
	want := `[["lintel" "zmq" "push" "--bind" "tcp://*:1" "--json"] ["lintel" "cache" "set" "a"]]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
