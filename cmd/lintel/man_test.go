package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lintel.dev/internal/cli/rootcli"
)

// TestManPages checks that deploy/man has a page for each command with its texts and
// flags, and no other page. The test of bridge/manual compares the pages octet for
// octet; this one needs no renderer, so that make check notices pages that are out of
// date.
func TestManPages(t *testing.T) {
	const dir = "../../deploy/man/lintel"
	found, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	old := make(map[string]bool)
	for _, path := range found {
		old[filepath.Base(path)] = true
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" || cmd.Hidden {
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		delete(old, name)
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("%v: run make man", err)
			return
		}
		text := plain(string(page))
		need := func(what, want string) {
			if !strings.Contains(text, plain(want)) {
				t.Errorf("%s does not have %s %q: run make man", name, what, want)
			}
		}
		need("the summary", cmd.Short)
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			need("the line", line)
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			_, usage := pflag.UnquoteUsage(f)
			need("the flag", "--"+f.Name)
			need("the text of --"+f.Name, usage)
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootcli.New("test"))
	for name := range old {
		t.Errorf("%s is of no command: run make man", name)
	}
}

var (
	fonts = regexp.MustCompile(`\\f[BIPR]`)
	marks = regexp.MustCompile(`[^A-Za-z0-9]+`)
)

// plain returns the letters and digits of text, without the fonts of troff, with one
// space for all that is between them, and a space at both ends.
func plain(text string) string {
	return marks.ReplaceAllString(" "+fonts.ReplaceAllString(text, " ")+" ", " ")
}
