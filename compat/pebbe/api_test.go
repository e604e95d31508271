package zmq4

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAPI checks that the package and package draft have exactly upstream's API.
// A file lists it: one line for each exported identifier, with its type.
func TestAPI(t *testing.T) {
	for _, dir := range []string{".", "draft"} {
		want, err := os.ReadFile(filepath.Join(dir, "testdata", "api.txt"))
		if err != nil {
			t.Fatal(err)
		}
		diffAPI(t, "package "+dir, apiOf(t, dir, false), strings.Split(strings.TrimSpace(string(want)), "\n"))
	}
}

// diffAPI reports what differs between two lists.
func diffAPI(t *testing.T, name string, got, want []string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s lacks %s", name, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s has in addition %s", name, line)
		}
	}
}

// apiOf lists the API of the package in dir, as it is on Linux.
func apiOf(t *testing.T, dir string, cgo bool) []string {
	t.Helper()
	p, files := checkPackage(t, dir, cgo)
	conversions := constConversions(files)
	var api []string
	for _, name := range p.Scope().Names() {
		obj := p.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			typ := typeText(obj.Type())
			if conv, ok := conversions[name]; ok {
				typ = conv
			}
			api = append(api, "const "+name+" "+typ)
		case *types.Var:
			api = append(api, "var "+name)
		case *types.Func:
			api = append(api, "func "+name+signature(obj))
		case *types.TypeName:
			api = append(api, typeAPI(obj)...)
		}
	}
	slices.Sort(api)
	return api
}

// checkPackage returns the package in dir without the bodies of its functions.
func checkPackage(t *testing.T, dir string, cgo bool) (*types.Package, []*ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	ctx := build.Default
	ctx.GOOS, ctx.CgoEnabled = "linux", cgo
	pkg, err := ctx.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range slices.Concat(pkg.GoFiles, pkg.CgoFiles) {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{
		Importer:         needed{t},
		IgnoreFuncBodies: true,
		FakeImportC:      cgo,
		Error:            func(error) {}, // of what is imported from elsewhere; no exported identifier needs it
	}
	p, _ := conf.Check("zmq4", fset, files, nil)
	return p, files
}

// constConversions returns the types of constants that are declared as a
// conversion, because the value of one of cgo is unknown.
func constConversions(files []*ast.File) map[string]string {
	found := make(map[string]string)
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, v := range spec.Values {
				if call, ok := v.(*ast.CallExpr); ok {
					if typ, ok := call.Fun.(*ast.Ident); ok {
						found[spec.Names[i].Name] = typ.Name
					}
				}
			}
			return true
		})
	}
	return found
}

// typeAPI lists a type, its exported fields and methods, also those of what it
// embeds. An alias is listed as the type that it stands for.
func typeAPI(obj *types.TypeName) []string {
	named := types.Unalias(obj.Type()).(*types.Named)
	var api []string
	switch u := named.Underlying().(type) {
	case *types.Struct:
		api = append(api, "type "+obj.Name()+" struct")
		for f := range u.Fields() {
			if f.Exported() {
				api = append(api, "field "+obj.Name()+"."+f.Name()+" "+typeText(f.Type()))
			}
		}
	default:
		api = append(api, "type "+obj.Name()+" "+typeText(u))
	}
	for selection := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		if m := selection.Obj().(*types.Func); m.Exported() {
			api = append(api, "method ("+typeText(m.Signature().Recv().Type())+") "+m.Name()+signature(m))
		}
	}
	return api
}

func signature(f *types.Func) string {
	s := f.Signature()
	list := func(tuple *types.Tuple, variadic bool) string {
		var all []string
		for v := range tuple.Variables() {
			all = append(all, typeText(v.Type()))
		}
		if variadic {
			last := len(all) - 1
			all[last] = "..." + strings.TrimPrefix(all[last], "[]")
		}
		return "(" + strings.Join(all, ", ") + ")"
	}
	return fmt.Sprintf("%s %s", list(s.Params(), s.Variadic()), list(s.Results(), false))
}

// typeText is a type without the names of parameters.
func typeText(typ types.Type) string {
	if s, ok := typ.(*types.Signature); ok {
		return "func" + signature(types.NewFunc(0, nil, "", s))
	}
	return strings.ReplaceAll(types.TypeString(typ, func(p *types.Package) string {
		if p.Name() == "zmq4" {
			return ""
		}
		return p.Name()
	}), "interface{}", "any")
}

// needed imports the packages that the APIs refer to; others fail.
type needed struct{ t *testing.T }

func (n needed) Import(path string) (*types.Package, error) {
	switch path {
	case "lintel.dev/compat/pebbe":
		p, _ := checkPackage(n.t, ".", false)
		return p, nil
	case "lintel.dev/compat/pebbe/internal/hooks":
		p, _ := checkPackage(n.t, filepath.Join("internal", "hooks"), false)
		return p, nil
	case "syscall", "time":
		return importer.Default().Import(path)
	}
	return nil, fmt.Errorf("%s is not needed", path)
}
