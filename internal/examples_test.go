package internal_test

import (
	"go/ast"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withoutExamples are the public packages whose use another one shows.
var withoutExamples = []string{
	"compat/gozeromq/security/null", "compat/gozeromq/security/plain", "compat/gozeromq/transport", "memcache/dskit", "nearcache/server",
}

// TestExamplesAreNamed checks that every public package has examples and that its
// documentation names all of them: go doc shows no code of examples, and a reader
// would not know that there is any.
func TestExamplesAreNamed(t *testing.T) {
	docs, examples := make(map[string]string), make(map[string][]string)
	eachFile(t, func(path string, file *ast.File) {
		dir := filepath.Dir(path)
		switch folder, _, _ := strings.Cut(dir, "/"); {
		case !slices.Contains([]string{"compat", "memcache", "memcached", "nearcache", "zmq"}, folder),
			strings.Contains(dir+"/", "/internal/"), slices.Contains(withoutExamples, dir):
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
	for dir := range docs {
		names := examples[dir]
		if len(names) == 0 {
			t.Errorf("%s: the package has no example", dir)
		}
		_, section, ok := strings.Cut(docs[dir], "# Examples\n")
		if !ok {
			t.Errorf("%s: the package documentation has no section Examples", dir)
		}
		section, _, _ = strings.Cut(section, "\n# ")
		words := strings.FieldsFunc(section, func(r rune) bool { return strings.ContainsRune(" ,.:\n", r) })
		for _, name := range names {
			if !slices.Contains(words, name) {
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

// TestInterfacesHaveMethods checks that the interfaces of package zmq list their
// methods: go doc shows nothing of those that are embedded from a private one.
func TestInterfacesHaveMethods(t *testing.T) {
	want := map[string][]string{
		"Socket":   {"Type", "Bind", "BindListener", "Connect", "Stats", "SetOption", "Option", "Events", "Close", "CloseContext"},
		"Sender":   {"Send", "SendOwned", "SendBytes", "TrySend"},
		"Receiver": {"Recv", "RecvBytes", "RecvInto", "RecvFrom", "TryRecv", "Messages", "Views"},
	}
	eachFile(t, func(path string, file *ast.File) {
		if filepath.Dir(path) != "zmq" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || want[spec.Name.Name] == nil {
				return true
			}
			i, ok := spec.Type.(*ast.InterfaceType)
			if !ok {
				t.Errorf("zmq.%s is not an interface", spec.Name.Name)
				return false
			}
			var got []string
			for _, m := range i.Methods.List {
				switch {
				case len(m.Names) == 0:
					if embedded, ok := m.Type.(*ast.Ident); !ok || !embedded.IsExported() {
						t.Errorf("zmq.%s embeds an interface that go doc does not show", spec.Name.Name)
					}
				case m.Names[0].IsExported():
					got = append(got, m.Names[0].Name)
					if m.Doc.Text() == "" {
						t.Errorf("zmq.%s.%s has no comment", spec.Name.Name, m.Names[0].Name)
					}
				}
			}
			if !slices.Equal(got, want[spec.Name.Name]) {
				t.Errorf("zmq.%s lists the methods %v, expected %v", spec.Name.Name, got, want[spec.Name.Name])
			}
			delete(want, spec.Name.Name)
			return false
		})
	})
	for name := range want {
		t.Errorf("zmq has no interface %s", name)
	}
}
