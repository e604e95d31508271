package transport

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	long := strings.Repeat("x", 108)
	for _, c := range []struct {
		in        string
		bind      bool
		ok        bool
		addr, src string
	}{
		{"tcp://127.0.0.1:5555", false, true, "127.0.0.1:5555", ""},
		{"tcp://localhost:1", false, true, "localhost:1", ""},
		{"tcp://*:*", true, true, "*:*", ""},
		{"tcp://*:0", true, true, "*:0", ""},
		{"tcp://lo:5555", true, true, "lo:5555", ""},
		{"tcp://[::1]:5555", false, true, "[::1]:5555", ""},
		{"tcp://::1:5555", false, true, "::1:5555", ""},
		{"tcp://[fe80::1%eth0]:5555", false, true, "[fe80::1%eth0]:5555", ""},
		{"tcp://10.0.0.1:0;10.0.0.2:99", false, true, "10.0.0.2:99", "10.0.0.1:0"},
		{"ipc:///tmp/x", true, true, "/tmp/x", ""},
		{"ipc://@name", false, true, "@name", ""},
		{"ipc://*", true, true, "*", ""},
		{"inproc://a b", false, true, "a b", ""},
		{"vsock://2:5555", false, true, "2:5555", ""},
		{"vsock://*:*", true, true, "*:*", ""},
		{"vsock://3:*", true, true, "3:*", ""},
		{"vsock://2:*", false, false, "", ""},
		{"vsock://*:5555", false, true, "*:5555", ""},
		{"vsock://5555", true, false, "", ""},
		{"vsock://host:5555", true, false, "", ""},
		{"vsock://2:4294967295", true, false, "", ""},
		{"vsock://2:-1", true, false, "", ""},
		{"tcp://*:5555", false, false, "", ""},
		{"tcp://127.0.0.1:*", false, false, "", ""},
		{"tcp://127.0.0.1:0", false, false, "", ""},
		{"tcp://127.0.0.1", false, false, "", ""},
		{"tcp://127.0.0.1:", false, false, "", ""},
		{"tcp://127.0.0.1:65536", false, false, "", ""},
		{"tcp://:5555", true, false, "", ""},
		{"tcp://in val id:5555", false, false, "", ""},
		{"tcp://Local Area Connection:5555", true, true, "Local Area Connection:5555", ""},
		{"tcp://a:1;b:2", true, false, "", ""},
		{"ipc://", true, false, "", ""},
		{"ipc://*", false, false, "", ""},
		{"ipc://" + long, true, false, "", ""},
		{"inproc://", true, false, "", ""},
		{"inproc://" + strings.Repeat("x", 256), true, false, "", ""},
		{"gopher://x", true, false, "", ""},
		{"127.0.0.1:5555", true, false, "", ""},
		{"", true, false, "", ""},
	} {
		e, err := Parse(c.in, c.bind)
		if (err == nil) != c.ok {
			t.Errorf("Parse(%q, %v): %v", c.in, c.bind, err)
			continue
		}
		if err == nil && (e.Address != c.addr || e.Source != c.src || e.String() != c.in) {
			t.Errorf("Parse(%q) = %q from %q, printed %q", c.in, e.Address, e.Source, e)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("Parse(%q): error of several lines: %v", c.in, err)
		}
	}
}

// roundTrip is open for streams.
func roundTrip(t *testing.T, endpoint string, o Options) (client, server net.Conn, at Endpoint) {
	t.Helper()
	c, s, at := open(t, endpoint, o)
	return c.(net.Conn), s.(net.Conn), at
}

// open listens and connects, and returns both ends.
func open(t *testing.T, endpoint string, o Options) (client, server Conn, at Endpoint) {
	t.Helper()
	e, err := Parse(endpoint, true)
	if err != nil {
		t.Fatal(err)
	}
	ln, at, err := Listen(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	to, err := Parse(strings.Replace(at.String(), "0.0.0.0", "127.0.0.1", 1), false)
	if err != nil {
		t.Fatal(err)
	}
	client, err = Dial(t.Context(), to, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server, at
}

func TestDialListen(t *testing.T) {
	for _, endpoint := range []string{
		"tcp://127.0.0.1:*", "tcp://*:0", "ipc://*",
		"ipc://" + filepath.Join(t.TempDir(), "s"),
	} {
		c, s, _ := roundTrip(t, endpoint, Options{Backlog: 7, SendBuffer: 1 << 16, RecvBuffer: 1 << 16, KeepAlive: -1, KeepCount: -1})
		if _, err := c.Write([]byte("hi")); err != nil {
			t.Fatal(err)
		}
		var b [2]byte
		if _, err := s.Read(b[:]); err != nil || string(b[:]) != "hi" {
			t.Errorf("%s: read %q, %v", endpoint, b, err)
		}
	}
}

func TestIPCReplacesSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	e := Endpoint{Scheme: "ipc", Address: path}
	for range 2 {
		ln, _, err := Listen(t.Context(), e, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
}

func TestSourceAddress(t *testing.T) {
	ln, at, err := Listen(t.Context(), Endpoint{Scheme: "tcp", Address: "127.0.0.1:*"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at.Source = "127.0.0.1:*"
	c, err := Dial(t.Context(), at, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if host, _, _ := net.SplitHostPort(c.LocalAddr().String()); host != "127.0.0.1" {
		t.Error(c.LocalAddr())
	}
}

// socksServer is a SOCKS5 proxy for one connection.
func socksServer(t *testing.T, user, password string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 512)
		n, _ := c.Read(b)
		if user == "" {
			c.Write([]byte{5, b[n-1]})
		} else {
			c.Write([]byte{5, 2})
			n, _ = c.Read(b)
			status := byte(1)
			if string(b[:n]) == "\x01"+string(rune(len(user)))+user+string(rune(len(password)))+password {
				status = 0
			}
			c.Write([]byte{1, status})
			if status != 0 {
				return
			}
		}
		n, _ = c.Read(b)
		if string(b[:5]) != "\x05\x01\x00\x03\x0d" || string(b[5:18]) != "nowhere.local" || n != 20 {
			c.Write([]byte{5, 1, 0, 1, 0})
			return
		}
		c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
		c.Write([]byte("through"))
	}()
	return ln.Addr().String()
}

func TestSOCKS(t *testing.T) {
	to := Endpoint{Scheme: "tcp", Address: "nowhere.local:80"}
	for _, c := range []struct {
		name      string
		user      string
		wants     string
		password  string
		ok        bool
		cancelled bool
	}{
		{"open", "", "", "", true, false},
		{"password", "ann", "ann", "secret", true, false},
		{"wrong password", "ann", "bob", "secret", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := socksServer(t, c.wants, "secret")
			conn, err := DialSOCKS(t.Context(), to, Options{}, Proxy{Address: addr, Username: c.user, Password: c.password})
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			b := make([]byte, 16)
			if n, err := conn.Read(b); string(b[:n]) != "through" {
				t.Errorf("%q, %v", b[:n], err)
			}
		})
	}
}

func TestSOCKSGivesUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := ln.Accept()
		if err == nil {
			cancel() // connected, and silent
			<-t.Context().Done()
			c.Close()
		}
	}()
	if _, err := DialSOCKS(ctx, Endpoint{Scheme: "tcp", Address: "a:1"}, Options{}, Proxy{Address: ln.Addr().String()}); err == nil {
		t.Error("connected through a silent proxy")
	}
}
