// Package deploy_test checks the files of this folder with the tools that they
// are for, or with the parsers of those tools.
package deploy_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// lintel is the binary that the tests run. TestMain builds it in the folder binaries.
var lintel, binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "deploy")
	if err == nil {
		binaries = dir
		lintel, err = build("..", "./cmd/lintel")
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the program of a module and returns its path.
func build(module, program string) (string, error) {
	path := filepath.Join(binaries, filepath.Base(program))
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, program)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", program, err, out)
	}
	return path, nil
}

var buildBridge = sync.OnceValues(func() (string, error) { return build("../bridge/embedded", "./cmd/lintel-bridge") })

// bridge returns the path of lintel-bridge. The first call builds it.
func bridge(t *testing.T) string {
	t.Helper()
	path, err := buildBridge()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tool returns the path of a program. If it is not installed the test is
// skipped, or fails with CI=true.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// run runs a command, fails the test if it fails, and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write creates a file and its folders.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// manager is a service manager that a server notifies of its state.
type manager struct{ *net.UnixConn }

func newManager(t *testing.T, path string) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{conn}
}

// wait returns when the manager was sent a state.
func (m manager) wait(t *testing.T, state string) {
	t.Helper()
	got := make([]byte, 256)
	n, err := m.Read(got)
	if err != nil || !bytes.Contains(got[:n], []byte(state)) {
		t.Fatalf("received %q, %v, expected %s", got[:n], err, state)
	}
}
