package internal_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// shipped are the programs that releases contain, by the folder of their module.
var shipped = map[string]string{
	"..":                 "./cmd/lintel",
	"../bridge/embedded": "./cmd/lintel-bridge",
}

// linked is a module that a program links.
type linked struct{ Path, Version, Dir string }

// licence matches the files that hold the terms of a module.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// linkedModules returns the modules that the shipped programs link on a system.
func linkedModules(t *testing.T, goos string) []linked {
	t.Helper()
	var all []linked
	for dir, program := range shipped {
		cmd := exec.Command("go", "list", "-deps", "-json=Module", program)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS="+goos)
		out, err := cmd.Output()
		if err != nil {
			if dir != ".." && os.Getenv("CI") == "" {
				t.Logf("%s: the modules are not here: %v", dir, err) // make check downloads nothing
				continue
			}
			t.Fatalf("%s: go list: %v", dir, err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct{ Module *linked }
			err := dec.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if m := p.Module; m != nil && !strings.HasPrefix(m.Path+"/", module) {
				all = append(all, *m)
			}
		}
	}
	slices.SortFunc(all, func(a, b linked) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(all)
}

// heading begins the section of a module in the file NOTICE. It has no version:
// the terms of a module hardly ever change.
func (m linked) heading() string { return "=== " + m.Path + " ===\n" }

// terms returns the texts of a module.
func (m linked) terms(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return !licence.MatchString(filepath.Base(f)) })
	// freetype gives the choice between the FTL, in this folder, and the GPL.
	if ftl := filepath.Join(m.Dir, "licenses", "ftl.txt"); m.Path == "github.com/golang/freetype" {
		files = append(files, ftl)
	}
	var b strings.Builder
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.IsDir() {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n%s\n", bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
	}
	if b.Len() == 0 {
		t.Errorf("%s has no licence file", m.Path)
	}
	return b.String()
}

// TestNotice checks that the file NOTICE has the terms of every module that the
// shipped programs link, and of Go. make notice writes it.
func TestNotice(t *testing.T) {
	if os.Getenv("LINTEL_NOTICE") == "write" {
		writeNotice(t)
	}
	notice, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range linkedModules(t, runtime.GOOS) {
		_, section, ok := strings.Cut(string(notice), m.heading())
		if !ok || !strings.HasPrefix(section, m.terms(t)) {
			t.Errorf("NOTICE does not have the terms of %s %s: run make notice", m.Path, m.Version)
		}
	}
}

func writeNotice(t *testing.T) {
	t.Helper()
	var all []linked
	for _, goos := range []string{"linux", "darwin", "windows"} {
		all = append(all, linkedModules(t, goos)...)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, linked{Path: "The Go standard library", Dir: strings.TrimSpace(string(goroot))})
	slices.SortStableFunc(all, func(a, b linked) int { return cmp.Compare(strings.ToLower(a.Path), strings.ToLower(b.Path)) })
	all = slices.CompactFunc(all, func(a, b linked) bool { return a.Path == b.Path })
	var b strings.Builder
	b.WriteString("Lintel is licensed under the terms in the file LICENSE. Its programs contain the software below, each under\n" +
		"its own terms. make notice writes this file.\n")
	for _, m := range all {
		b.WriteString("\n" + m.heading() + m.terms(t))
	}
	if err := os.WriteFile("../NOTICE", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
