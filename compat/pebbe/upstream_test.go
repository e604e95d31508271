package zmq4

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	upstream         = "github.com/pebbe/zmq4"
	upstreamVersion  = "v1.4.0" // the API and its tests
	examplesVersion  = "v1.0.0" // the last version whose module has the guide's programs
	examplePrograms  = 86
	upstreamVariable = "LINTEL_COMPAT"
)

// endingExamples are upstream's programs that need no other program and no
// argument, and end within seconds.
var endingExamples = []string{
	"asyncsrv", "eagain", "identity", "lbbroker", "mtrelay", "rtreq", "tripping", "version",
	"grasslands", "ironhouse", "stonehouse", "strawhouse", "woodhouse",
}

// TestUpstream runs upstream's tests and example programs with only the import
// changed (make compat). The tests use fixed ports and take 12 s, so that go test
// ./... does not run it. It needs the module proxy, or upstream's modules in the
// module cache.
func TestUpstream(t *testing.T) {
	if os.Getenv(upstreamVariable) == "" {
		t.Skipf("%s is not set; make compat sets it", upstreamVariable)
	}
	source, programs := download(t, upstreamVersion), download(t, examplesVersion)
	root, err := filepath.Abs("../..")
	check(t, err)

	for _, pkg := range []string{".", "draft"} {
		t.Run("api/"+pkg, func(t *testing.T) {
			diffAPI(t, "upstream", apiOf(t, filepath.Join(source, pkg), true), apiOf(t, pkg, false))
		})
		t.Run("tests/"+pkg, func(t *testing.T) {
			dir := newModule(t, root, "judge")
			for _, f := range glob(t, filepath.Join(source, pkg), "*_test.go") {
				rewrite(t, f, filepath.Join(dir, filepath.Base(f)), "judge")
			}
			run(t, dir, 5*time.Minute, "go", "test", "-count=1", "-v", ".")
		})
	}
	t.Run("examples", func(t *testing.T) {
		dir := newModule(t, root, "examples")
		check(t, os.CopyFS(dir, os.DirFS(filepath.Join(programs, "examples"))))
		check(t, os.CopyFS(filepath.Join(dir, "security"), os.DirFS(filepath.Join(source, "examples_security"))))
		for _, f := range append(glob(t, dir, "*/*.go"), glob(t, dir, "*.go")...) {
			rewrite(t, f, f, "examples")
		}
		run(t, dir, time.Minute, "go", "mod", "tidy")
		files := append(glob(t, dir, "*.go"), glob(t, dir, "security/*.go")...)
		if len(files) != examplePrograms {
			t.Errorf("%d programs, expected %d", len(files), examplePrograms)
		}
		for _, f := range files {
			name, out := strings.TrimSuffix(filepath.Base(f), ".go"), os.DevNull
			if slices.Contains(endingExamples, name) {
				out = filepath.Join(dir, "bin", name)
			}
			run(t, dir, time.Minute, "go", "build", "-o", out, f)
		}
		for _, name := range endingExamples {
			run(t, dir, time.Minute, filepath.Join(dir, "bin", name))
		}
	})
}

// download returns the folder of a version of upstream.
func download(t *testing.T, version string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", upstream+"@"+version)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &m); err != nil || jsonErr != nil || m.Dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s@%s: %v %s", upstream, version, err, m.Error)
		}
		t.Skipf("%s@%s cannot be had: %v %s", upstream, version, err, m.Error)
	}
	return m.Dir
}

// newModule makes a module that uses the one in root.
func newModule(t *testing.T, root, name string) string {
	t.Helper()
	dir := t.TempDir()
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
	goMod := "module " + name + "\n\ngo 1.26.0\n\nrequire lintel.dev v0.0.0\n\nreplace lintel.dev => " + root + "\n"
	check(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o600))
	return dir
}

// rewrite copies a file and changes its imports.
func rewrite(t *testing.T, from, to, module string) {
	t.Helper()
	text, err := os.ReadFile(from)
	check(t, err)
	changed := strings.NewReplacer(
		`"`+upstream+`"`, `"lintel.dev/compat/pebbe"`,
		`"`+upstream+`/draft"`, `"lintel.dev/compat/pebbe/draft"`,
		`"`+upstream+`/examples/`, `"`+module+`/`,
	).Replace(string(text))
	_ = os.Remove(to) // what the module cache holds is read-only
	check(t, os.WriteFile(to, []byte(changed), 0o600))
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	check(t, err)
	return files
}

// run runs a command and fails with its output.
func run(t *testing.T, dir string, limit time.Duration, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		return
	}
	t.Logf("%s %s\n%s", filepath.Base(name), strings.Join(args, " "), out)
}
