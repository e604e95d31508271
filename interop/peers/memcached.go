package peers

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Memcached starts Debian's memcached on a free port of the loopback interface
// and returns its address once it accepts connections.
func Memcached(t testing.TB, args ...string) string {
	t.Helper()
	binary := Program(t, "memcached")
	for range 10 {
		// memcached does not report a port that the system chose, so it gets
		// one that was free a moment ago. If another process takes it
		// meanwhile, memcached exits and another port is tried.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if startMemcached(t, binary, append([]string{"-l", "127.0.0.1", "-p", strconv.Itoa(port)}, args...)) {
			return addr
		}
	}
	t.Fatal("memcached found no free port in ten attempts")
	return ""
}

// MemcachedUnix is [Memcached] on a unix socket; it returns its path.
func MemcachedUnix(t testing.TB, args ...string) string {
	t.Helper()
	path := filepath.Join(SocketDir(t), "m")
	if !startMemcached(t, Program(t, "memcached"), append([]string{"-s", path}, args...)) {
		t.Fatal("memcached did not start")
	}
	return path
}

// startMemcached reports whether the server listens: with -vv memcached writes
// a line when it does.
func startMemcached(t testing.TB, binary string, args []string) bool {
	t.Helper()
	args = append(args, "-vv", "-U", "0")
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	p := Start(t, exec.Command(binary, args...))
	p.quiet = p.logs("server listening")
	return p.quiet
}

// SocketDir returns a directory for Unix sockets. Their paths may have at most
// 103 bytes on some systems, which t.TempDir can exceed.
func SocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lintel")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
