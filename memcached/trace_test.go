package memcached

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTrace(t *testing.T) {
	var lines []string
	s := startServer(t, Options{DisableCAS: true, Trace: func(line string) { lines = append(lines, line) }})
	nextConn = 30
	c := dial(t, s)
	told := func(input string, want ...string) {
		t.Helper()
		lines = nil
		c.send(input)
		if !slices.Equal(lines, want) {
			t.Errorf("%.60q is logged as\n%q, want\n%q", input, lines, want)
		}
	}
	told("get a\r\n")
	told("verbosity 1\r\nget a\r\n")
	told("verbosity 2\r\n", `>31 OK\r\n`)
	told("set a 0 0 2\r\n\x00\xff\r\nget a\r\n", "<31 set a 0 0 2", `>31 STORED\r\n`, "<31 get a", `>31 VALUE a 0 2\r\n\x00\xff\r\nEND\r\n`)
	told("set b 0 0 6\r\nsec", "<31 set b 0 0 6")
	told("ret\r\n", `>31 STORED\r\n`)
	told("\x1b[2J\xc3\xa9\r\n", `<31 \x1b[2J\u00e9`, `>31 ERROR\r\n`)
	told("set c 0 0 2000 noreply\r\n"+strings.Repeat("c", 2000)+"\r\n", "<31 set c 0 0 2000 noreply")
	told("get c\r\n", "<31 get c", `>31 VALUE c 0 2000\r\n`+strings.Repeat("c", (1<<10)-len("VALUE c 0 2000\r\n"))+"...")
	told("verbosity 0\r\nget a\r\n", "<31 verbosity 0")

	s.engine.SetVerbosity(2)
	c = dial(t, s)
	told("\x80\x0c\x00\x01"+strings.Repeat("\x00", 7)+"\x01"+strings.Repeat("\x00", 12)+"a",
		"<32 binary 0x0c a", `>32 \x81\f\x00\x01\x04\x00\x00\x00\x00\x00\x00\a`+strings.Repeat(`\x00`, 12)+`\x00\x00\x00\x00a\x00\xff`)
}

// Passwords are not traced.
func TestTraceOfLogin(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("joe:sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	s := startServer(t, Options{AuthFile: users, Verbosity: 2, Trace: func(line string) { told.WriteString(line + "\n") }})
	dial(t, s).want("set x 0 0 10\r\njoe sesame\r\nget a\r\n", "STORED\r\nEND\r\n")
	if text := told.String(); strings.Contains(text, "sesame") || !strings.Contains(text, " get a\n") {
		t.Errorf("told of a login: %q", text)
	}
}
