package internal_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines is how long a Go file may grow before it is two things.
const maxLines = 600

// goFiles calls visit for every Go file of the module and its nested modules.
func goFiles(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
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

func TestFilesStayShort(t *testing.T) {
	goFiles(t, func(path string) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: one file per noun of the protocol", path, n, maxLines)
		}
	})
}

// TestNoSleeps keeps tests from waiting for time to pass where they could wait
// for what they mean. Inside synctest the clock is false, and sleeping is how
// it is moved.
func TestNoSleeps(t *testing.T) {
	goFiles(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if imports(file, "testing/synctest") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sleeps(n) {
				t.Errorf("%s: a sleep in a test: wait for the event itself, or use testing/synctest", fset.Position(n.Pos()))
			}
			return true
		})
	})
}

// sleeps finds time.Sleep, and its other spelling: a receive from time.After
// that is a statement, not one case of a select.
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

// ofTime tells whether e is that name of package time.
func ofTime(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "time"
}

// TestFuzzTargetsHaveSeeds: a target that starts from nothing finds nothing in
// the time CI gives it.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	goFiles(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			seeds, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "testdata", "fuzz", fn.Name.Name, "*"))
			if len(seeds) == 0 && !addsSeeds(fn) {
				t.Errorf("%s: %s has no seed: call f.Add, or commit testdata/fuzz/%[2]s/*", path, fn.Name.Name)
			}
		}
	})
}

// TestGoroutinesAreCounted: the tests of a package that starts goroutines, or
// whose tests do, fail when one is left behind.
func TestGoroutinesAreCounted(t *testing.T) {
	starts, counts := make(map[string]bool), make(map[string]bool)
	goFiles(t, func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
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
		if starts[dir] && !counts[dir] && filepath.Base(dir) != "bench" { // which only measures
			t.Errorf("%s: no TestMain with goleak, though goroutines are started here", dir)
		}
	}
}

// TestExportsAreDocumented: a name that others use says what it is. Methods
// that implement an interface of the standard library may be silent.
func TestExportsAreDocumented(t *testing.T) {
	silent := map[string]bool{"Error": true, "Unwrap": true, "String": true, "Write": true, "Read": true, "Close": true}
	goFiles(t, func(path string) {
		rel, err := filepath.Rel("..", path)
		if err != nil {
			t.Fatal(err)
		}
		switch first, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); first {
		case "memcache", "memcached", "zmq", "demo":
		default:
			return
		}
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
			for _, d := range docs {
				if d != nil {
					return
				}
			}
			if name.IsExported() {
				t.Errorf("%s: %s has no comment", fset.Position(name.Pos()), name)
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

// receiver is the name of a method's type.
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

// addsSeeds tells whether a fuzz target adds seeds, itself or by handing its f
// to a helper.
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
