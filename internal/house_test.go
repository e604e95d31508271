package internal_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bounds of files, types and packages.
const (
	maxLines   = 600 // of a file
	maxMethods = 45  // of a type
	maxFiles   = 30  // of a package, tests left out
)

// oneNounAFile are the packages that may have more than maxFiles files, and how
// many, because each file is one noun of the protocol: a socket type, an option
// group, a command.
var oneNounAFile = map[string]int{
	"zmq": 64,
}

// largeTypes are the types that may have more than maxMethods methods, and how
// many, because each method is one command or socket operation that users call.
var largeTypes = map[string]int{
	"memcache.Client": 54,
	// Upstream's API, which has two methods for each socket option.
	"compat/pebbe.Socket": 170,
}

// root is the folder of the module.
const root = ".."

// goFiles calls visit for every Go file of the module and its nested modules,
// by its path relative to the root.
func goFiles(t *testing.T, visit func(path string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachFile calls visit for every Go file with its syntax tree.
func eachFile(t *testing.T, visit func(path string, file *ast.File)) {
	t.Helper()
	goFiles(t, func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, file)
	})
}

func TestFilesStayShort(t *testing.T) {
	goFiles(t, func(path string) {
		src, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: one file for each noun of the protocol", path, n, maxLines)
		}
	})
}

// TestNoSleeps forbids tests to wait for time to pass where they can wait for
// the event. Inside synctest time is simulated, and a sleep advances it.
func TestNoSleeps(t *testing.T) {
	eachFile(t, func(path string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") || imports(file, "testing/synctest") {
			return
		}
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				if sleeps(n) {
					name := ""
					if fn, ok := decl.(*ast.FuncDecl); ok {
						name = fn.Name.Name
					}
					t.Errorf("%s: %s sleeps: wait for the event itself, or use testing/synctest", path, name)
				}
				return true
			})
		}
	})
}

// sleeps reports whether n is time.Sleep, or a receive from time.After that is
// a statement of its own and not a case of a select.
func sleeps(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		return ofTime(n, "Sleep")
	case *ast.BlockStmt:
		for _, s := range n.List {
			if stmt, ok := s.(*ast.ExprStmt); ok {
				if receive, ok := stmt.X.(*ast.UnaryExpr); ok {
					if call, ok := receive.X.(*ast.CallExpr); ok && ofTime(call.Fun, "After") {
						return true
					}
				}
			}
		}
	}
	return false
}

// ofTime reports whether e is that name of package time.
func ofTime(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "time"
}

// TestFuzzTargetsHaveSeeds requires seeds of each fuzz target: without any, it
// finds nothing in the time that CI gives it.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	eachFile(t, func(path string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			seeds, _ := filepath.Glob(filepath.Join(root, filepath.Dir(path), "testdata", "fuzz", fn.Name.Name, "*"))
			if len(seeds) == 0 && !addsSeeds(fn) {
				t.Errorf("%s: %s has no seed: call f.Add, or commit testdata/fuzz/%[2]s/*", path, fn.Name.Name)
			}
		}
	})
}

// TestGoroutinesAreCounted requires goleak in a package that starts goroutines,
// or whose tests do: its tests fail when a goroutine is left.
func TestGoroutinesAreCounted(t *testing.T) {
	starts, counts := make(map[string]bool), make(map[string]bool)
	eachFile(t, func(path string, file *ast.File) {
		dir := filepath.Dir(path)
		if strings.HasSuffix(path, "_test.go") {
			counts[dir] = counts[dir] || imports(file, "go.uber.org/goleak")
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				starts[dir] = true
			}
			return true
		})
	})
	for dir := range counts {
		if starts[dir] && !counts[dir] && dir != "bench" { // bench only measures
			t.Errorf("%s: no TestMain with goleak, though goroutines are started here", dir)
		}
	}
}

// TestTypesStaySmall bounds the methods of a type.
func TestTypesStaySmall(t *testing.T) {
	methods := make(map[string]int) // by folder and type
	eachFile(t, func(path string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv != nil {
				methods[filepath.ToSlash(filepath.Dir(path))+"."+receiver(d)]++
			}
		}
	})
	for name, n := range methods {
		if n > max(maxMethods, largeTypes[name]) {
			t.Errorf("%s has %d methods, more than %d: split it by what its fields belong to", name, n, maxMethods)
		}
	}
}

// TestPackagesStaySmall bounds the files of a package, tests left out. A
// package whose files are one noun of a protocol each may have more.
func TestPackagesStaySmall(t *testing.T) {
	files := make(map[string]int)
	goFiles(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			files[filepath.ToSlash(filepath.Dir(path))]++
		}
	})
	for dir, n := range files {
		if n > max(maxFiles, oneNounAFile[dir]) {
			t.Errorf("%s has %d files, more than %d: a package is missing", dir, n, maxFiles)
		}
	}
}

// TestExportsAreDocumented requires a comment on each exported name of the
// public packages. That the comment begins with the name is staticcheck's rule
// (ST1020 to ST1022, see staticcheck.conf), which accepts no comment at all.
// Methods that implement an interface of the standard library need none.
func TestExportsAreDocumented(t *testing.T) {
	silent := map[string]bool{"Error": true, "Unwrap": true, "String": true, "Write": true, "Read": true, "Close": true}
	public := []string{"memcache", "memcached", "zmq", "bridge", "compat", "demo"}
	eachFile(t, func(path string, file *ast.File) {
		first, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		if !slices.Contains(public, first) || strings.HasSuffix(path, "_test.go") {
			return
		}
		check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
			documented := slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil })
			if name.IsExported() && !documented {
				t.Errorf("%s: %s has no comment", path, name)
			}
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || ast.IsExported(receiver(d)) && !silent[d.Name.Name] {
					check(d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						check(s.Name, d.Doc, s.Doc)
					case *ast.ValueSpec:
						for _, name := range s.Names {
							check(name, d.Doc, s.Doc, s.Comment)
						}
					}
				}
			}
		}
	})
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

func imports(file *ast.File, path string) bool {
	for _, i := range file.Imports {
		if i.Path.Value == `"`+path+`"` {
			return true
		}
	}
	return false
}

// addsSeeds reports whether a fuzz target adds seeds itself or passes its f to
// a helper.
func addsSeeds(fn *ast.FuncDecl) bool {
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Add" {
			found = true
		}
		for _, arg := range call.Args {
			if id, ok := arg.(*ast.Ident); ok && id.Name == "f" {
				found = true
			}
		}
		return true
	})
	return found
}
