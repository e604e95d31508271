// Package apitext writes the exported API of packages as text, a line for each
// fact: a function, a type, a method, a field, a variable or a constant.
//
// Tests compare the lines with committed ones. The API of a release cannot
// change unnoticed then, and a package that has the API of another library has
// all of it. The types are those of the compiler's export data, which go list
// provides, so nothing is downloaded.
package apitext

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Lines returns the facts about the packages, sorted. Names are qualified by
// the path of their package without the prefix trim. The go command runs in dir.
func Lines(dir, trim string, packages ...string) ([]string, error) {
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("apitext: go list: %w", err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[path] = file
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("apitext: no export data of %s", path)
		}
		return os.Open(files[path])
	})
	w := writer{trim: trim}
	for _, path := range packages {
		pkg, err := imp.Import(path)
		if err != nil {
			return nil, fmt.Errorf("apitext: %s: %w", path, err)
		}
		w.pkg(pkg)
	}
	slices.Sort(w.lines)
	return slices.Compact(w.lines), nil
}

// Compare compares the facts about the packages with the lines of a file: missing are
// in the file alone, extra in the packages alone. The names are trimmed by the path
// of the first package. The go command runs in the current folder.
func Compare(file string, packages ...string) (missing, extra []string, err error) {
	got, err := Lines(".", packages[0], packages...)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	return without(want, got), without(got, want), nil
}

// without returns the lines of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
}

type writer struct {
	trim  string
	lines []string
}

func (w *writer) add(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

// name is how a package is called in the text.
func (w *writer) name(p *types.Package) string { return strings.TrimPrefix(p.Path(), w.trim) }

func (w *writer) pkg(pkg *types.Package) {
	prefix := w.name(pkg) + "."
	if prefix == "." {
		prefix = ""
	}
	scope := pkg.Scope()
	for _, n := range scope.Names() {
		if !token.IsExported(n) {
			continue
		}
		switch o := scope.Lookup(n).(type) {
		case *types.Const:
			w.add("const %s%s %s = %s", prefix, n, w.typ(o.Type()), o.Val())
		case *types.Var:
			w.add("var %s%s %s", prefix, n, w.typ(o.Type()))
		case *types.Func:
			w.add("func %s%s%s", prefix, n, w.signature(o))
		case *types.TypeName:
			w.typeName(prefix+n, o)
		}
	}
}

func (w *writer) typ(t types.Type) string { return types.TypeString(t, w.name) }

func (w *writer) signature(f *types.Func) string {
	return strings.TrimPrefix(w.typ(unnamed(f.Signature())), "func")
}

// unnamed is a signature without the names of its parameters, which callers do
// not depend on.
func unnamed(s *types.Signature) *types.Signature {
	strip := func(t *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range t.Variables() {
			vars = append(vars, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(vars...)
	}
	var typeParams []*types.TypeParam
	if s.Recv() == nil {
		for p := range s.TypeParams().TypeParams() {
			typeParams = append(typeParams, p)
		}
	}
	if len(typeParams) > 0 {
		return s // type parameters belong to one signature
	}
	return types.NewSignatureType(nil, nil, nil, strip(s.Params()), strip(s.Results()), s.Variadic())
}

func (w *writer) typeName(name string, o *types.TypeName) {
	if o.IsAlias() {
		w.add("type %s = %s", name, w.typ(types.Unalias(o.Type())))
		return
	}
	switch u := o.Type().Underlying().(type) {
	case *types.Struct:
		w.add("type %s struct", name)
		for f := range u.Fields() {
			if f.Exported() {
				w.add("field %s.%s %s", name, f.Name(), w.typ(f.Type()))
			}
		}
	case *types.Interface:
		w.add("type %s interface", name)
		for m := range u.Methods() {
			if m.Exported() {
				w.add("method %s.%s%s", name, m.Name(), w.signature(m))
			} else {
				w.add("method %s has unexported methods", name)
			}
		}
		return
	default:
		w.add("type %s %s", name, w.typ(u))
	}
	methods := types.NewMethodSet(types.NewPointer(o.Type()))
	byValue := types.NewMethodSet(o.Type())
	for m := range methods.Methods() {
		f, ok := m.Obj().(*types.Func)
		if !ok || !f.Exported() {
			continue
		}
		receiver := "*" + name
		if byValue.Lookup(f.Pkg(), f.Name()) != nil {
			receiver = name
		}
		w.add("method %s.%s%s", receiver, f.Name(), w.signature(f))
	}
}
