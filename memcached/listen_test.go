package memcached_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/memcached"
)

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]memcached.Endpoint{
		"":                              {Port: 11211},
		"*":                             {Port: 11211},
		"127.0.0.1":                     {Host: "127.0.0.1", Port: 11211},
		"localhost:80":                  {Host: "localhost", Port: 80},
		"10.0.0.1:0":                    {Host: "10.0.0.1"},
		"::1":                           {Host: "::1", Port: 11211},
		"[::1]":                         {Host: "::1", Port: 11211},
		"[::1]:5":                       {Host: "::1", Port: 5},
		"notls:1.2.3.4:5":               {Host: "1.2.3.4", Port: 5, TLS: memcached.TLSNone},
		"mtls:a":                        {Host: "a", Port: 11211, TLS: memcached.TLSMutual},
		"btls:[::]:1":                   {Host: "::", Port: 1, TLS: memcached.TLSBasic},
		"proto[ascii]:a:1":              {Host: "a", Port: 1, Protocol: memcached.ASCII},
		"proto[binary]:tag[x]:a:1":      {Host: "a", Port: 1, Protocol: memcached.Binary, Tag: "x"},
		"tag_x_:a:1":                    {Host: "a", Port: 1, Tag: "x"},
		"tag[x]:proto[negotiating]:a:1": {Host: "a", Port: 1, Protocol: memcached.Auto, Tag: "x"},
		"notls:tag[y]:[::1]:1":          {Host: "::1", Port: 1, TLS: memcached.TLSNone, Tag: "y"},
	} {
		got, err := memcached.ParseEndpoint(text, 11211)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"a:", "a:x", "a:70000", "[::1", "[::1]x", "[::1]:", "a:-1", "proto[http]:a"} {
		if e, err := memcached.ParseEndpoint(text, 1); err == nil || !strings.Contains(err.Error(), "want") && !strings.Contains(err.Error(), "port") {
			t.Errorf("%q: %+v, %v", text, e, err)
		}
	}
}

func TestListen(t *testing.T) {
	ctx := context.Background()
	all, err := memcached.Endpoint{Host: "127.0.0.1"}.Listen(ctx, 5, nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d listeners, %v", len(all), err)
	}
	defer all[0].Close()
	port := all[0].Addr().(*net.TCPAddr).Port
	if again, err := (memcached.Endpoint{Host: "127.0.0.1", Port: port}).Listen(ctx, 0, nil); err == nil {
		again[0].Close()
		t.Error("one port was taken twice")
	}
	if _, err := (memcached.Endpoint{Host: "127.0.0.1", TLS: memcached.TLSMutual}).Listen(ctx, 0, nil); err == nil {
		t.Error("mtls: without TLS was taken")
	}
}

func TestListenUnix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes and no stale files there")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := memcached.ListenUnix(path, 0o741, 5)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o741 {
		t.Errorf("mode %v, %v, want 741", fi.Mode(), err)
	}
	if l2, err := memcached.ListenUnix(path, 0o700, 5); err == nil {
		l2.Close()
		t.Error("a socket in use was replaced")
	}
	// What a killed server leaves behind.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = memcached.ListenUnix(path, 0o700, 0); err != nil {
		t.Fatalf("a stale socket stayed: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file outlived its listener: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := memcached.ListenUnix(path, 0o700, 0); err == nil {
		l.Close()
		t.Error("a file that is no socket was replaced")
	}
}

// udpServer is a server on a UDP socket and a client of it.
func udpServer(t *testing.T, opts memcached.Options) (*memcached.Server, *net.UDPConn) {
	t.Helper()
	srv, err := memcached.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	all, err := memcached.Endpoint{Host: "127.0.0.1"}.ListenPacket(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.ServePacket(all[0]) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, memcached.ErrServerClosed) {
			t.Errorf("ServePacket: %v", err)
		}
	})
	c, err := net.DialUDP("udp", nil, all[0].LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return srv, c
}

// ask sends one request and puts its reply together.
func ask(t *testing.T, c *net.UDPConn, id uint16, request string) (reply string, datagrams int) {
	t.Helper()
	frame := binary.BigEndian.AppendUint16(nil, id)
	frame = append(frame, 0, 0, 0, 1, 0, 0)
	if _, err := c.Write(append(frame, request...)); err != nil {
		t.Fatal(err)
	}
	var pieces []string
	for n := 1; datagrams < n; datagrams++ {
		b := make([]byte, 65536)
		k, err := c.Read(b)
		if err != nil {
			t.Fatalf("%.40q: %v", request, err)
		}
		if k < 9 || k > 1400 {
			t.Fatalf("datagram of %d bytes", k)
		}
		if got := binary.BigEndian.Uint16(b); got != id {
			t.Fatalf("reply to request %d, want %d", got, id)
		}
		n = int(binary.BigEndian.Uint16(b[4:]))
		if pieces == nil {
			pieces = make([]string, n)
		}
		pieces[binary.BigEndian.Uint16(b[2:])] = string(b[8:k])
	}
	return strings.Join(pieces, ""), datagrams
}

func TestUDP(t *testing.T) {
	srv, c := udpServer(t, memcached.Options{})
	value := strings.Repeat("v", 4096)
	most := strings.Repeat("v", 16*1392-len("VALUE most 0 22243\r\n\r\nEND\r\n")) // fills sixteen datagrams
	for i, x := range []struct {
		request, reply string
		datagrams      int
	}{
		{"set a 0 0 1\r\n1\r\n", "STORED\r\n", 1},
		{"get a\r\n", "VALUE a 0 1\r\n1\r\nEND\r\n", 1},
		{"incr a 41\r\n", "42\r\n", 1},
		{"set big 0 0 4096\r\n" + value + "\r\n", "STORED\r\n", 1},
		{"get big\r\n", "VALUE big 0 4096\r\n" + value + "\r\nEND\r\n", 3},
		{"set most 0 0 " + strconv.Itoa(len(most)) + "\r\n" + most + "\r\n", "STORED\r\n", 1},
		{"get most\r\n", "VALUE most 0 " + strconv.Itoa(len(most)) + "\r\n" + most + "\r\nEND\r\n", 16},
		{"append most 0 0 1\r\nv\r\n", "STORED\r\n", 1},
		{"get most\r\n", "SERVER_ERROR response too large for UDP\r\n", 1},
		{"get big big big big big big\r\n", "SERVER_ERROR response too large for UDP\r\n", 1},
		{"get a\r\n", "VALUE a 0 2\r\n42\r\nEND\r\n", 1},
		{"nonsense\r\n", "ERROR\r\n", 1},
		{"mn\r\n", "MN\r\n", 1},
		{"\x80\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00", "", 1}, // binary version
		{"get a\r\nget missing\r\n", "VALUE a 0 2\r\n42\r\nEND\r\nEND\r\n", 1},
	} {
		reply, n := ask(t, c, uint16(i+7), x.request)
		if x.reply == "" && strings.HasPrefix(reply, "\x81\x0b") {
			continue
		}
		if reply != x.reply || n != x.datagrams {
			t.Errorf("%.30q: %.60q in %d datagrams, want %.60q in %d", x.request, reply, n, x.reply, x.datagrams)
		}
	}
	if reply, n := ask(t, c, 1, "stats\r\n"); n > 4 || !strings.HasSuffix(reply, "END\r\n") {
		t.Errorf("stats: %d datagrams, ends in %q", n, reply[max(0, len(reply)-20):])
	}
	if s := srv.Stats(); s.Sets != 4 || s.Hits == 0 {
		t.Errorf("%+v", s)
	}
}

// Whatever is not a whole request gets no answer, and disturbs nothing.
func TestUDPDrops(t *testing.T) {
	_, c := udpServer(t, memcached.Options{})
	for _, bad := range []string{
		"", "x", "\x00\x01\x00\x00\x00\x01\x00\x00", // no request in it
		"\x00\x01\x00\x00\x00\x02\x00\x00get a\r\n",                 // the first of two
		"\x00\x01\x00\x01\x00\x02\x00\x00get b\r\n",                 // and the second, which does not make a request of them
		"\x00\x01\x00\x00\x00\x00\x00\x00get a\r\n",                 // the first of none
		"\x00\x01\x00\x01\x00\x01\x00\x00get a\r\n",                 // the second of one
		"\x00\x01\x00\x00\x00\x01\x00\x00get a",                     // half a line
		"\x00\x01\x00\x00\x00\x01\x00\x00set a 0 0 5\r\nab",         // half a value
		"\x00\x01\x00\x00\x00\x01\x00\x00set a 0 0 2147483645\r\na", // and a large one
		"\x00\x01\x00\x00\x00\x01\x00\x00\x80\x00\x00\x05\xff\xff",  // half a header
		"\x00\x01\x00\x00\x00\x01\x00\x00quit\r\n",                  // nothing to end
	} {
		if _, err := c.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		if reply, _ := ask(t, c, 9, "mn\r\n"); reply != "MN\r\n" {
			t.Fatalf("after %q: %q", bad, reply)
		}
	}
}

func TestUDPWithUsers(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("a:b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv, err := memcached.New(memcached.Options{AuthFile: users})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.ServePacket(p); !errors.Is(err, memcached.ErrOptions) {
		t.Errorf("ServePacket: %v, want ErrOptions", err)
	}
}
