package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Twemproxy starts Debian's nutcracker in front of a fleet of servers
// (host:port:weight, with an optional " name") and returns the path of the unix
// socket it listens on. distribution and hash are its own names, such as
// "ketama" and "fnv1a_64"; tag is its hash_tag, or "".
func Twemproxy(t testing.TB, distribution, hash, tag string, servers ...string) string {
	t.Helper()
	binary := Program(t, "nutcracker")
	dir := SocketDir(t)
	socket, conf := filepath.Join(dir, "p"), filepath.Join(dir, "conf.yml")
	text := fmt.Sprintf("fleet:\n  listen: %s 0600\n  distribution: %s\n  hash: %s\n  timeout: 60000\n", socket, distribution, hash)
	if tag != "" {
		text += fmt.Sprintf("  hash_tag: %q\n", tag)
	}
	text += "  servers:\n"
	for _, s := range servers {
		text += "   - " + s + "\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		// It requires a port for its statistics, which may be taken meanwhile;
		// see Memcached.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		p := Start(t, exec.Command(binary, "-c", conf, "-a", "127.0.0.1", "-s", strconv.Itoa(port), "-o", "/dev/stderr", "-p", filepath.Join(dir, "pid")))
		if p.answers("unix", socket) {
			return socket
		}
	}
	t.Fatal("nutcracker did not start in ten attempts")
	return ""
}
