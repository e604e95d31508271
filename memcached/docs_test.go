package memcached

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDocumentedTests checks that every test which docs/cache-server.md names for
// an attack is there.
func TestDocumentedTests(t *testing.T) {
	text, err := os.ReadFile("../docs/cache-server.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "../internal/*/*_test.go", "../internal/*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(src, -1) {
				have[string(m[1])] = true
			}
		}
	}
	names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(string(text), -1)
	if len(names) < 50 {
		t.Errorf("%d tests named", len(names))
	}
	for _, name := range names {
		if !have[name] {
			t.Errorf("docs/cache-server.md names %s, which is nowhere", name)
		}
	}
}
