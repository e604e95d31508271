package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files returns the files below the root of the repository whose names end
// with suffix, by their path from here.
func files(t *testing.T, suffix string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		text, err := os.ReadFile(path)
		all[filepath.ToSlash(path)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNames checks that every test, fuzz target and benchmark which a page
// names exists. A name that ends with ... stands for all that begin with it.
func TestNames(t *testing.T) {
	declared := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	var all strings.Builder
	for _, src := range files(t, "_test.go") {
		for _, m := range function.FindAllStringSubmatch(src, -1) {
			declared[m[1]] = true
			all.WriteString(" " + m[1])
		}
	}
	name := regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*)(\.\.\.)?`)
	for page, text := range files(t, ".md") {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			known := declared[m[1]]
			if m[2] != "" {
				known = strings.Contains(all.String(), " "+m[1])
			}
			if !known {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

// TestLinks checks that relative links lead to a file, and those with a
// fragment to one of its headings.
func TestLinks(t *testing.T) {
	pages := files(t, ".md")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for page, text := range pages {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := page
			if target != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
				continue
			}
			if fragment == "" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(pages[to], -1) {
				anchor := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
				found = found || anchor == fragment
			}
			if !found {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// TestPaths checks that the Go files, scripts and folders which a page names
// in backticks exist. A name without a slash may be in any folder.
func TestPaths(t *testing.T) {
	known := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			known[filepath.Base(path)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`((?:cmd|demo|docs|deploy|internal|interop|memcache|memcached|zmq|bench|tools|compat|\\.ci)/[\\w./-]*|[\\w-]+\\.go)`")
	for page, text := range files(t, ".md") {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			path := m[1]
			if !strings.Contains(path, "/") {
				if !known[path] {
					t.Errorf("%s names %s, which does not exist", page, path)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s names %s, which does not exist", page, path)
			}
		}
	}
}

// TestIdentifiers checks that every zmq.Name, memcache.Name and memcached.Name
// of a page is exported by that package. The pages on migrating also show the
// names of other packages, which are called zmq4 there.
func TestIdentifiers(t *testing.T) {
	exported := make(map[string]bool)
	for _, dir := range []string{"zmq", "memcache", "memcached"} {
		matches, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range matches {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				switch d := decl.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil {
						exported[dir+"."+d.Name.Name] = true
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						switch s := spec.(type) {
						case *ast.TypeSpec:
							exported[dir+"."+s.Name.Name] = true
						case *ast.ValueSpec:
							for _, name := range s.Names {
								exported[dir+"."+name.Name] = true
							}
						}
					}
				}
			}
		}
	}
	name := regexp.MustCompile(`\b(?:zmq|memcache|memcached)\.[A-Z]\w*`)
	foreign := regexp.MustCompile("(?s)```(?:python|js)\n.*?```")
	for page, text := range files(t, ".md") {
		switch page {
		case "../CHANGELOG.md", "../docs/migrating/gomemcache.md", "../docs/demos.md":
			continue // these also have names that are gone, or of gomemcache and pyzmq
		}
		for _, m := range name.FindAllString(foreign.ReplaceAllString(text, ""), -1) {
			if !exported[m] {
				t.Errorf("%s names %s, which does not exist", page, m)
			}
		}
	}
}

// TestSymbols checks that ARCHITECTURE.md names only methods, fields and
// functions that exist: Type.member or package.Name.
func TestSymbols(t *testing.T) {
	architecture, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for path, src := range files(t, ".go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				of := file.Name.Name
				if d.Recv != nil {
					of = receiver(d.Recv.List[0].Type)
				}
				known[of+"."+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					s, ok := spec.(*ast.TypeSpec)
					if !ok {
						continue
					}
					known[file.Name.Name+"."+s.Name.Name] = true
					switch typ := s.Type.(type) {
					case *ast.StructType:
						members(known, s.Name.Name, typ.Fields)
					case *ast.InterfaceType:
						members(known, s.Name.Name, typ.Methods)
					}
				}
			}
		}
	}
	known["Push.Send"], known["Pull.Recv"] = known["sending.Send"], known["receiving.Recv"] // embedded
	for _, m := range regexp.MustCompile("`(\\w+\\.\\w+)`").FindAllStringSubmatch(string(architecture), -1) {
		if !known[m[1]] && !strings.HasSuffix(m[1], ".go") && !strings.HasSuffix(m[1], ".md") && m[1] != "time.Sleep" {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", m[1])
		}
	}
}

// members adds the fields or methods of a type to known.
func members(known map[string]bool, of string, list *ast.FieldList) {
	for _, f := range list.List {
		for _, name := range f.Names {
			known[of+"."+name.Name] = true
		}
	}
}

// receiver returns the name of a receiver's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestMakeTargets checks that every `make TARGET` of a page is one.
func TestMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("(?m)(?:`|^)make ([a-z][a-z-]*)")
	for page, text := range files(t, ".md") {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s says make %s, which is no target", page, m[1])
			}
		}
	}
}

// TestBuildLines checks that the command lines which build lintel build a
// static binary. Where gcc is installed, go build otherwise links with libc.
func TestBuildLines(t *testing.T) {
	line := regexp.MustCompile(`(?m)^ *(.*\bgo build .*)\./cmd/lintel\b`)
	found := 0
	for page, text := range files(t, ".md") {
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "`") {
				continue // a sentence about a command
			}
			found++
			if !strings.HasPrefix(m[1], "CGO_ENABLED=0 go build ") {
				t.Errorf("%s: %s./cmd/lintel: expected CGO_ENABLED=0 go build", page, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no page has a line that builds lintel")
	}
}

// TestPrograms checks that the Go programs of the README are part of the
// examples of this package, which are compiled and run.
func TestPrograms(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := func(text string) string {
		return strings.ReplaceAll(text, "\t", "")
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Errorf("the README has %d programs, expected one for each library", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(flat(string(examples)), flat(b[1])) {
			t.Errorf("this program of the README is not in example_test.go:\n%s", b[1])
		}
	}
}

// TestImportRecipe runs the commands of docs/migrating/README.md that change the
// imports of a program, and checks that they agree with the README's table.
func TestImportRecipe(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the recipe is for GNU sed")
	}
	page, err := os.ReadFile("migrating/README.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile(`(?s)(grep -rlE .*?)\ngo mod edit`).FindStringSubmatch(string(page))
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	moves := regexp.MustCompile("(?m)^\\| `(github\\.com/[^`]+)` \\| `(lintel\\.dev/[^`]+)` \\|$").FindAllStringSubmatch(string(readme), -1)
	if recipe == nil || len(moves) != 4 {
		t.Fatalf("recipe %q and %d rows in the README, expected 4", recipe, len(moves))
	}
	before, after := "package p\n", "package p\n"
	for _, m := range moves {
		before += "import \"" + m[1] + "\"\n"
		after += "import \"" + m[2] + "\"\n"
		if _, err := os.Stat(".." + strings.TrimPrefix(m[2], "lintel.dev")); err != nil {
			t.Error(err)
		}
	}
	before += "import \"github.com/go-zeromq/zmq4/security/null\"\n"
	after += "import \"lintel.dev/compat/gozeromq/security/null\"\n"
	path := filepath.Join(t.TempDir(), "p.go")
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", recipe[1])
	cmd.Dir = filepath.Dir(path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != after {
		t.Errorf("%v, imports after the recipe:\n%sexpected:\n%s", err, got, after)
	}
}

// TestPackages checks that the README names every package that a program may
// import, and every command.
func TestPackages(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for path, src := range files(t, ".go") {
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		if strings.HasSuffix(path, "_test.go") || strings.Contains("/"+dir+"/", "/internal/") || regexp.MustCompile(`^(interop|bench|deploy|tools|docs)`).MatchString(dir) {
			continue
		}
		if strings.Contains("\n"+src, "\npackage main\n") && dir != "cmd/lintel" || dir == "demo" {
			continue
		}
		if !named[dir] && !strings.Contains(string(readme), "("+dir+")") {
			named[dir] = true
			t.Errorf("the README does not name the package %s", dir)
		}
	}
}
