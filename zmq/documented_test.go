package zmq_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// TestDocumentedNames: the tests that docs/zmq.md names exist, and it names the
// options that there are.
func TestDocumentedNames(t *testing.T) {
	text, err := os.ReadFile("../docs/zmq.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(src, -1) {
			declared[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`").FindAllSubmatch(text, -1) {
		if name := string(m[1]); !declared[name] {
			t.Errorf("docs/zmq.md names %s, which does not exist", name)
		}
	}

	_, options, _ := bytes.Cut(text, []byte("\n## Options\n"))
	options, _, _ = bytes.Cut(options, []byte("\n## "))
	options, _, _ = bytes.Cut(options, []byte("\nUnknown here"))
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllSubmatch(options, -1) {
		documented = append(documented, string(m[1]))
	}
	known := append(zmq.OptionNames(), "subscribe", "unsubscribe")
	for _, name := range known {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/zmq.md does not name the option %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("docs/zmq.md names the option %s, which does not exist", name)
		}
	}
}
