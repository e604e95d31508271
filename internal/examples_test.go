package internal_test

import (
	"go/ast"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExamplesAreNamed checks that the documentation of the three libraries names
// all their examples: go doc shows no code of examples, and a reader would not
// know that there is any.
func TestExamplesAreNamed(t *testing.T) {
	docs, examples := make(map[string]string), make(map[string][]string)
	eachFile(t, func(path string, file *ast.File) {
		dir := filepath.Dir(path)
		if !slices.Contains([]string{"memcache", "memcached", "zmq"}, dir) {
			return
		}
		if !strings.HasSuffix(path, "_test.go") {
			docs[dir] += file.Doc.Text()
			return
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Example") {
				examples[dir] = append(examples[dir], f.Name.Name)
			}
		}
	})
	for dir, names := range examples {
		_, section, ok := strings.Cut(docs[dir], "# Examples\n")
		if !ok {
			t.Errorf("%s: the package documentation has no section Examples", dir)
		}
		section, _, _ = strings.Cut(section, "\n# ")
		words := strings.FieldsFunc(section, func(r rune) bool { return strings.ContainsRune(" ,.:\n", r) })
		for _, name := range names {
			if name != "Example" && !slices.Contains(words, name) {
				t.Errorf("%s: the section Examples does not name %s", dir, name)
			}
		}
		for _, word := range words {
			if strings.HasPrefix(word, "Example") && word != "Examples" && !slices.Contains(names, word) {
				t.Errorf("%s: the section Examples names %s, which does not exist", dir, word)
			}
		}
	}
}
