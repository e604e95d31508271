package interop_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
)

// run runs a tool to its end and fails the test unless it exits with 0.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, status := peers.Run(t, cmd)
	if status != 0 {
		t.Fatalf("%s: exit status %d\n%s", cmd, status, out)
	}
	return out
}

// TestMemccapable runs libmemcached's conformance test, which exits with 0 even
// when a case fails: the last line counts them.
func TestMemccapable(t *testing.T) {
	for _, protocol := range []struct{ name, flag string }{{"ascii", "-a"}, {"binary", "-b"}} {
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			tool := peers.Program(t, "memccapable")
			host, port, err := net.SplitHostPort(embedded(t))
			if err != nil {
				t.Fatal(err)
			}
			out := run(t, exec.Command(tool, "-h", host, "-p", port, protocol.flag))
			if !strings.Contains(out, "All tests passed") {
				t.Errorf("memccapable %s:\n%s", protocol.flag, out)
			}
		})
	}
}

// TestMemcTools runs the tools under the names that Debian gives them.
func TestMemcTools(t *testing.T) {
	addr := embedded(t)
	servers := "--servers=" + addr
	tool := func(name string, args ...string) string {
		t.Helper()
		return run(t, exec.Command(peers.Program(t, name), append([]string{servers}, args...)...))
	}
	us := goClient(nil)(t, addr)

	file := filepath.Join(t.TempDir(), "greeting")
	text := "good day\r\nto you\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tool("memccp", file)
	same(t, us.get("greeting"), raw(text))
	if out := tool("memccat", "greeting"); !strings.Contains(out, "good day\r\nto you") {
		t.Errorf("memccat: %q", out)
	}
	tool("memcexist", "greeting")
	tool("memcping")
	tool("memctouch", "greeting", "--expire=1000")

	yes(t, us.set("second", raw("2"), 0))
	keys := strings.Fields(tool("memcdump"))
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"greeting", "second"}) {
		t.Errorf("memcdump lists %q", keys)
	}
	stats := tool("memcstat")
	for _, want := range []string{"curr_items: 2", "version: 1.6.45", "threads: "} {
		if !strings.Contains(stats, want) {
			t.Errorf("memcstat has no %q:\n%s", want, stats)
		}
	}
	tool("memcrm", "greeting")
	same(t, us.get("greeting"), nil)
	tool("memcflush")
	same(t, us.get("second"), nil)

	for _, args := range [][]string{{"--test=set"}, {"--test=get"}, {"--test=mget"}, {"--test=set", "--binary"}, {"--test=get", "--binary"}} {
		args = append(args, "--concurrency=4", "--execute-number=200", "--initial-load=500")
		tool("memcslap", args...)
	}
}

// TestMemcachedTool reads Lintel's statistics with the script that memcached
// ships.
func TestMemcachedTool(t *testing.T) {
	const script = "/usr/share/memcached/scripts/memcached-tool"
	if _, err := os.Stat(script); err != nil {
		peers.Missing(t, "%v", err)
	}
	addr := embedded(t)
	us := goClient(nil)(t, addr)
	yes(t, us.set("small", raw("v"), 0))
	yes(t, us.set("large", raw(strings.Repeat("v", 100_000)), month))
	tool := func(mode ...string) string {
		t.Helper()
		return run(t, exec.Command(peers.Program(t, "perl"), append([]string{script, addr}, mode...)...))
	}

	display := strings.Split(strings.TrimSpace(tool("display")), "\n")
	if len(display) != 3 || !strings.Contains(display[0], "Item_Size") {
		t.Errorf("display shows not two classes:\n%s", strings.Join(display, "\n"))
	}
	stats := tool("stats")
	for _, name := range []string{"curr_items", "limit_maxbytes", "slab_reassign_running"} {
		if !strings.Contains(stats, name) {
			t.Errorf("stats have no %s:\n%s", name, stats)
		}
	}
	if settings := tool("settings"); !strings.Contains(settings, "maxbytes") {
		t.Errorf("settings:\n%s", settings)
	}
	dump := tool("dump")
	for _, want := range []string{"add small 0 ", "add large 0 ", strings.Repeat("v", 100_000)} {
		if !strings.Contains(dump, want) {
			t.Errorf("dump lacks %.40q", want)
		}
	}
}
