// Package internal_test checks the rules of the tree: the layers of
// ARCHITECTURE.md (cmd, internal/cli, demo, public packages, internal) and the
// house rules that no linter has.
package internal_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "lintel.dev/"

// small lists the modules outside the standard library and golang.org/x that
// a public library may link.
var small = []string{
	"github.com/cespare/xxhash/v2",
	"github.com/coder/websocket",
}

// bytesOnly are the packages without sockets: codecs and the store. They import
// only each other, the standard library without net, golang.org/x/crypto in a
// mechanism, golang.org/x/sys for a mapping, and a hash.
var bytesOnly = []string{"internal/memcached/mcproto", "internal/memcached/arena", "internal/memcached/store", "internal/zmq/pgm", "internal/zmq/zmtp"}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// goList returns every package of the module with its imports and dependencies,
// without those of its tests.
func goList(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports,Deps", "lintel.dev/...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// top returns the first folder of a package of this module, or an empty string.
func top(path string) string {
	rel, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rel, "/")
	return first
}

// isLibrary reports whether path is one of the three libraries. The packages
// beside them (collectors, test servers, adapters) may link more.
func isLibrary(path string) bool {
	switch path {
	case module + "memcache", module + "memcached", module + "zmq":
		return true
	}
	return false
}

// layers are the layers of the tree, by the folder that a package is below. A
// package imports packages of its own layer and of lower ones.
var layers = map[string]int{
	"internal": 0,
	"memcache": 1, "memcached": 1, "zmq": 1,
	"compat": 2, "demo": 2, "nearcache": 2,
	"internal/cli": 3,
	"cmd":          4, "docs": 4, "interop": 4,
}

// shared are the internal packages that are not the inside of one library
// alone, and what else may import them: the subjects of place, or cli.
var shared = map[string][]string{
	"internal/rawio":             {"memcache", "zmq"},
	"internal/sequence":          {"zmq", "nearcache"},
	"internal/memcached/mcproto": {"memcache"},
	"internal/memcached/listen":  {"cli"}, // the flags -l, -s, -Z
	"internal/memcached/netloop": {"cli"}, // the connections of lintel perf cache
}

// place returns the folder of layers that a package is below, and its subject:
// the public package that it is or that it is the inside of, cli, or empty.
func place(path string) (folder, subject string) {
	words := strings.Split(strings.TrimPrefix(path, module), "/")
	switch folder = words[0]; folder {
	case "internal":
		if len(words) > 1 {
			subject = words[1]
		}
		if subject == "cli" {
			folder = "internal/cli"
		}
	case "memcache", "memcached", "zmq", "nearcache":
		subject = folder
	}
	return folder, subject
}

// TestLayers checks that imports follow the layers, and that the three
// libraries, with what is inside each, do not know each other.
func TestLayers(t *testing.T) {
	for _, p := range goList(t) {
		from, subject := place(p.ImportPath)
		if _, ok := layers[from]; !ok {
			t.Errorf("%s: the tree has no folder %q", p.ImportPath, from)
		}
		for _, imp := range p.Imports {
			if top(imp) == "" {
				continue
			}
			to, of := place(imp)
			switch {
			case layers[to] > layers[from]:
				t.Errorf("%s imports %s: imports go from cmd to internal/cli, demo, the public packages and internal, never back", p.ImportPath, imp)
			case slices.Contains(shared[strings.TrimPrefix(imp, module)], subject):
			case to == "internal" && subject != of:
				t.Errorf("%s imports %s: that is the inside of %s; what is shared is in the list of this test", p.ImportPath, imp, of)
			case layers[from] == 1 && layers[to] == 1 && subject != of:
				t.Errorf("%s imports %s: memcache, memcached and zmq never import each other", p.ImportPath, imp)
			}
		}
	}
}

func TestLightLibraries(t *testing.T) {
	for _, p := range goList(t) {
		if !isLibrary(p.ImportPath) {
			continue
		}
		for _, dep := range p.Deps {
			if external(dep) && !hasPrefix(dep, small) && !strings.HasPrefix(dep, "golang.org/x/") {
				t.Errorf("%s links %s: heavier modules stay in cmd, demo and nested modules", p.ImportPath, dep)
			}
		}
	}
}

func TestBytesOnly(t *testing.T) {
	for _, p := range goList(t) {
		rel := strings.TrimPrefix(p.ImportPath, module)
		if !hasPrefix(rel, bytesOnly) {
			continue
		}
		for _, imp := range p.Imports {
			switch {
			case top(imp) != "" && !hasPrefix(strings.TrimPrefix(imp, module), bytesOnly):
				t.Errorf("%s imports %s: codecs and the store stand alone", p.ImportPath, imp)
			case imp == "net" || strings.HasPrefix(imp, "net/") && imp != "net/netip":
				t.Errorf("%s imports %s: bytes only, no sockets", p.ImportPath, imp)
			case external(imp) && !hasPrefix(imp, small) && !strings.HasPrefix(imp, "golang.org/x/crypto") && !strings.HasPrefix(imp, "golang.org/x/sys"):
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// external reports whether path belongs to another module: it has a dot in its
// first element and is not ours.
func external(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && top(path) == ""
}

func hasPrefix(path string, of []string) bool {
	for _, p := range of {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// TestBridge checks the nested modules of the bridge, which go list does not see
// from here: they import zmq and what is below it, their command and the generator of
// man pages also internal/cli, and their tests interop/peers. Nothing imports them.
func TestBridge(t *testing.T) {
	eachFile(t, func(path string, file *ast.File) {
		path = filepath.ToSlash(path)
		inside := strings.HasPrefix(path, "bridge/")
		allowed := []string{module + "zmq"}
		if strings.HasPrefix(path, "bridge/internal/bridgecli/") || strings.HasPrefix(path, "bridge/manual/") {
			allowed = append(allowed, module+"internal/cli")
		}
		if strings.HasSuffix(path, "_test.go") {
			allowed = append(allowed, module+"interop/peers")
		}
		for _, i := range file.Imports {
			imp := strings.Trim(i.Path.Value, `"`)
			if !strings.HasPrefix(imp, module) {
				continue
			}
			bridge := hasPrefix(imp, []string{module + "bridge"})
			switch {
			case bridge && !inside:
				t.Errorf("%s imports %s: nothing outside bridge/ does", path, imp)
			case inside && !bridge && !hasPrefix(imp, allowed):
				t.Errorf("%s imports %s: the bridge stands on zmq alone", path, imp)
			}
		}
	})
}
