// Package internal_test keeps the arrows of ARCHITECTURE.md: cmd -> demo ->
// public packages -> internal.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
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

// bytesOnly names the packages that work on bytes alone: they may import
// nothing but the standard library, golang.org/x/crypto in a mechanism,
// golang.org/x/sys for a mapping, and a hash.
var bytesOnly = []string{"internal/memcached/mcproto", "internal/zmq/zmtp", "internal/memcached/store"}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// goList returns every package below the root with what it links, tests left
// out.
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

func top(path string) string {
	rel, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rel, "/")
	return first
}

// isLibrary tells the three libraries themselves from the packages beside
// them (collectors, test servers, adapters), which may link more.
func isLibrary(path string) bool {
	switch path {
	case module + "memcache", module + "memcached", module + "zmq":
		return true
	}
	return false
}

func TestLayers(t *testing.T) {
	rank := map[string]int{"internal": 0, "memcache": 1, "memcached": 1, "zmq": 1, "demo": 2, "cli": 3, "cmd": 4, "interop": 4, "docs": 4}
	top := func(path string) string {
		if path == module+"internal/cli" || strings.HasPrefix(path, module+"internal/cli/") {
			return "cli"
		}
		return top(path)
	}
	for _, p := range goList(t) {
		from := top(p.ImportPath)
		if _, ok := rank[from]; !ok {
			t.Errorf("%s: the tree has no folder %q", p.ImportPath, from)
		}
		for _, imp := range p.Imports {
			to := top(imp)
			if to == "" {
				continue
			}
			if rank[to] > rank[from] {
				t.Errorf("%s imports %s: the arrows point cmd -> demo -> public packages -> internal", p.ImportPath, imp)
			}
			if rank[from] == 1 && rank[to] == 1 && from != to {
				t.Errorf("%s imports %s: memcache, memcached and zmq never import each other", p.ImportPath, imp)
			}
			if from == "demo" && to == "internal" {
				t.Errorf("%s imports %s: a demo stands on the public API alone", p.ImportPath, imp)
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
			case top(imp) != "" && !strings.HasPrefix(imp, p.ImportPath):
				t.Errorf("%s imports %s: codecs and the store stand alone", p.ImportPath, imp)
			case imp == "net" || strings.HasPrefix(imp, "net/"):
				t.Errorf("%s imports %s: bytes only, no sockets", p.ImportPath, imp)
			case external(imp) && !hasPrefix(imp, small) && !strings.HasPrefix(imp, "golang.org/x/crypto") && !strings.HasPrefix(imp, "golang.org/x/sys"):
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// external tells a path of another module from the standard library and our
// own: only the former has a dot in its first element.
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
