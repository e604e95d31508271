package deploy_test

import (
	"bufio"
	"bytes"
	"debug/elf"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// image is the last stage of the Dockerfile.
func image(t *testing.T) (last instructions.Stage) {
	t.Helper()
	result, err := parser.Parse(bytes.NewReader([]byte(read(t, "Dockerfile"))))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Warnings) > 0 {
		t.Errorf("warnings: %v", result.Warnings)
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stages[len(stages)-1]
}

// TestImage runs what `docker run lintel -m 1024 ...` runs, in a file system
// that has the binary only, as the user of the image.
func TestImage(t *testing.T) {
	last := image(t)
	if last.BaseName != "scratch" {
		t.Errorf("the image is from %s, expected scratch", last.BaseName)
	}
	var entry []string
	var user string
	for _, c := range last.Commands {
		switch c := c.(type) {
		case *instructions.EntrypointCommand:
			entry = c.CmdLine
		case *instructions.UserCommand:
			user = c.User
		}
	}
	if user != "11211:11211" || !slices.Equal(entry, []string{"/usr/bin/lintel", "memcached"}) {
		t.Fatalf("user %q, entrypoint %q", user, entry)
	}

	binary, err := elf.Open(lintel)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Fatal("the binary is not static")
		}
	}

	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	root := t.TempDir()
	write(t, filepath.Join(root, entry[0]), read(t, lintel), 0o755)
	if err := os.Symlink("lintel", filepath.Join(root, "usr/bin/memcached")); err != nil {
		t.Fatal(err)
	}
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // the user must get there
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m := newManager(t, filepath.Join(root, "notify"))
	if err := os.Chmod(filepath.Join(root, "notify"), 0o777); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	// The second is docker run lintel memcached -m 1024 ..., which manifests for the
	// image of memcached have.
	for _, command := range [][]string{entry, append(slices.Clone(entry), "memcached"), {"/usr/bin/memcached"}} {
		args := append(slices.Clone(command[1:]), "-m", "1024", "-I", "8m", "-l", "127.0.0.1", "-p", port)
		cmd := exec.Command(command[0], args...)
		cmd.Path = command[0] // in the new root
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 11211, Gid: 11211}}
		cmd.Env, cmd.Dir = []string{"NOTIFY_SOCKET=/notify"}, "/"
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		m.wait(t, "READY=1")
		if answer := ask(t, "127.0.0.1:"+port); !strings.HasPrefix(answer, "VERSION 1.6.") {
			t.Errorf("%v: answered %q\n%s", command, answer, &stderr)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		m.wait(t, "STOPPING=1")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", command, err, &stderr)
		}
	}
}

// freePort returns a TCP port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// ask returns the reply of a server to the command version.
func ask(t *testing.T, addr string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("version\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
