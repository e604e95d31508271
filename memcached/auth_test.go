package memcached

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

func passwords(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTextAuth(t *testing.T) {
	s := startServer(t, Options{AuthFile: passwords(t, "foo:bar\nuser2:pa:ss\r\n\n")})
	const unauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	c := dial(t, s)
	c.want("get foo\r\n", unauthenticated)
	c.want("version\r\nstats\r\nset \r\n", unauthenticated+unauthenticated+"CLIENT_ERROR bad command line format\r\n")
	c.want("set foo 0 0 7\r\nfoo bab\r\n", "CLIENT_ERROR authentication failure\r\n")
	c.want("set foo 0 0 2\r\nxx\r\n", "CLIENT_ERROR bad authentication token format\r\n")
	c.want("set foo 0 0 7\r\nfoo barXX", "CLIENT_ERROR bad command line termination\r\n")
	c.want("set foo 0 0 16385\r\n", "CLIENT_ERROR auth token too long\r\n")
	c.want("set x 0 0 2147483646\r\n", "CLIENT_ERROR auth token too long\r\n")
	c.want("set x 0 0 abc\r\n", "CLIENT_ERROR bad command line format\r\n")
	c.want("get foo\r\n", unauthenticated) // still
	c.want("set foo 0 0 7 noreply\r\nfoo bar\r\n", "STORED\r\n")
	c.want("get foo\r\nset foo 0 0 1\r\nx\r\n", "END\r\nSTORED\r\n")
	// A token that comes in pieces, and a second user.
	d := dial(t, s)
	d.want("set foo 0 0 11\r\nuser2", "")
	d.want(" pa:", "")
	d.want("ss\r\nmn\r\n", "STORED\r\nMN\r\n")
	for name, in := range map[string]string{
		"blank lines": "\r\n\r\n", "mn": "mn\r\n", "binary": "\x80\x0a" + strings.Repeat("\x00", 22),
		"no line end": strings.Repeat("x", 2049), "quit": "quit\r\n",
	} {
		e := dial(t, s)
		if got := e.send(in); got != "" || !e.closed {
			t.Errorf("%s: closed = %v, %q", name, e.closed, got)
		}
	}
	if got := s.engine.Total(exec.AuthCmds); got != 3 {
		t.Errorf("auth_cmds = %d, want 3", got)
	}
	if got := s.engine.Total(exec.AuthErrors); got != 1 {
		t.Errorf("auth_errors = %d, want 1", got)
	}
}

func TestAuthReload(t *testing.T) {
	path := passwords(t, "u:old\n")
	s := startServer(t, Options{AuthFile: path})
	in := dial(t, s)
	in.want("set a 0 0 5\r\nu old\r\n", "STORED\r\n")
	if err := os.WriteFile(path, []byte("u:new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadAuth(); err != nil {
		t.Fatal(err)
	}
	in.want("get a\r\n", "END\r\n") // who is in stays in
	c := dial(t, s)
	c.want("set a 0 0 5\r\nu old\r\nset a 0 0 5\r\nu new\r\n", "CLIENT_ERROR authentication failure\r\nSTORED\r\n")
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadAuth(); err == nil {
		t.Error("a file without a colon was accepted")
	}
	dial(t, s).want("set a 0 0 5\r\nu new\r\n", "STORED\r\n")
}

func TestAuthFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no colon": "user\n", "no password": "user:\n", "no user": ":secret\n",
		"overlong line": "user:" + strings.Repeat("x", 300) + "\n",
		"too many":      strings.Repeat("u:p\n", 1024+1),
	} {
		if _, err := New(Options{AuthFile: passwords(t, text)}); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "memcached: ") {
			t.Errorf("%s: %q", name, err)
		}
	}
	if _, err := New(Options{AuthFile: "/nonexistent/file"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestSASL(t *testing.T) {
	s := startServer(t, Options{SASL: true, SASLFile: passwords(t, "joe:secret\n")})
	s.engine.Brake.Free = 1000
	auth := func(op mcproto.Opcode, mech, message string) string { return binReq(op, 0, "", mech, message) }
	refused := func(op mcproto.Opcode) binRes {
		return binRes{op: op, status: mcproto.StatusAuthError, value: "Auth failure."}
	}
	get := binReq(mcproto.OpGet, 0, "", "a", "")
	miss := binRes{op: mcproto.OpGet, status: mcproto.StatusNotFound, value: "Not found"}

	c := dial(t, s)
	c.wantBin(get, refused(mcproto.OpGet))
	if !c.closed {
		t.Error("an unauthenticated get leaves the connection open")
	}
	c = dial(t, s)
	c.wantBin(binReq(mcproto.OpSASLList, 0, "", "", ""), binRes{op: mcproto.OpSASLList, value: "PLAIN"})
	c.wantBin(binReq(mcproto.OpVersion, 0, "", "", ""), binRes{op: mcproto.OpVersion, value: DefaultVersion})
	for _, message := range []string{"", "joe", "\x00joe", "\x00joe\x00", "\x00joe\x00Secret", "\x00Joe\x00secret", "bob\x00joe\x00secret", "\x00joe\x00secret\x00", "\x00joe:secret\x00"} {
		c.wantBin(auth(mcproto.OpSASLAuth, "PLAIN", message), refused(mcproto.OpSASLAuth))
	}
	c.wantBin(auth(mcproto.OpSASLAuth, "CRAM-MD5", "\x00joe\x00secret"), refused(mcproto.OpSASLAuth))
	c.wantBin(auth(mcproto.OpSASLStep, "PLAIN", "\x00joe\x00secret"), refused(mcproto.OpSASLStep))
	c.wantBin(auth(mcproto.OpSASLAuth, "PLAIN", strings.Repeat("x", 5000)),
		binRes{op: mcproto.OpSASLAuth, status: mcproto.StatusInvalid, value: "Invalid arguments"})
	c.wantBin(auth(mcproto.OpSASLAuth, "PLAIN", "\x00joe\x00secret"), binRes{op: mcproto.OpSASLAuth, value: "Authenticated"})
	c.wantBin(get, miss)
	// CVE-2013-7239: a failed login ends an earlier one.
	c.wantBin(auth(mcproto.OpSASLAuth, "PLAIN", "\x00joe\x00wrong"), refused(mcproto.OpSASLAuth))
	c.wantBin(get, refused(mcproto.OpGet))

	plain := dial(t, startServer(t, Options{}))
	plain.wantBin(auth(mcproto.OpSASLAuth, "PLAIN", "\x00joe\x00secret")+get,
		binRes{op: mcproto.OpSASLAuth, status: mcproto.StatusUnknownCommand, value: "Unknown command"}, miss)
	if got := s.engine.Total(exec.AuthErrors); got != 12 {
		t.Errorf("auth_errors = %d, want 12", got)
	}
}

// TestSASLFileChanges uses a changed file from the next login on, and ignores one
// that is not valid.
func TestSASLFileChanges(t *testing.T) {
	file := passwords(t, "joe:secret\n")
	s := startServer(t, Options{SASL: true, SASLFile: file})
	c := dial(t, s)
	login := func(user string, want mcproto.Status) {
		t.Helper()
		res := binRes{op: mcproto.OpSASLAuth, status: want, value: "Authenticated"}
		if want != 0 {
			res.value = "Auth failure."
		}
		c.wantBin(binReq(mcproto.OpSASLAuth, 0, "", "PLAIN", "\x00"+user+"\x00secret"), res)
	}
	login("joe", 0)
	for _, tc := range []struct {
		text     string
		joe, eve mcproto.Status
	}{
		{"joe:secret\neve:secret\n", 0, 0},
		{"nonsense\n", 0, 0},
		{"eve:secret\n", mcproto.StatusAuthError, 0},
	} {
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		login("joe", tc.joe)
		login("eve", tc.eve)
	}
}

// TestLoginBrake has logins wait after failed ones from the same address, without
// holding up other commands.
func TestLoginBrake(t *testing.T) {
	s := startServer(t, Options{AuthFile: passwords(t, "u:p\n")})
	const bad, failed = "set a 0 0 3\r\nu x\r\n", "CLIENT_ERROR authentication failure\r\n"
	fail := func(base time.Duration) {
		s.engine.Brake.Done(netip.MustParseAddr("127.0.0.1"), true) // forgets
		s.engine.Brake.Free, s.engine.Brake.Base = 2, base
		for range 3 {
			dial(t, s).want(bad, failed)
		}
	}
	// The next login waits, whether its password is right or not, and its client may
	// leave meanwhile.
	fail(20 * time.Second)
	c, w := dial(t, s), netloop.NewWriter(1<<10)
	if _, step := c.s.Data([]byte("set a 0 0 3\r\nu p\r\nmn\r\n"), w); step != netloop.Wait || w.Len() > 0 {
		t.Fatalf("step %d, %d bytes, want Wait and no reply", step, w.Len())
	}
	c.hangUp()
	// It is answered in the end, and a success ends the delays.
	fail(time.Millisecond)
	dial(t, s).want("set a 0 0 3\r\nu p\r\nmn\r\n", "STORED\r\nMN\r\n")
	if _, step := dial(t, s).s.Data([]byte(bad), netloop.NewWriter(1<<10)); step == netloop.Wait {
		t.Error("waits after a successful login")
	}
}
