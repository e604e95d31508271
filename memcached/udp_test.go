package memcached_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/memcached/listen"
	"lintel.dev/memcached"
)

// udpServer is a server on a UDP socket and a client of it.
func udpServer(t *testing.T, opts memcached.Options) (*memcached.Server, *net.UDPConn) {
	t.Helper()
	srv, err := memcached.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	all, err := listen.Endpoint{Host: "127.0.0.1"}.ListenPacket(context.Background())
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

// ask sends one request and joins the datagrams of its reply.
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

// Datagrams that are not a whole request get no reply and have no effect.
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

// TestUDPJobs refuses commands that take long, and watch.
func TestUDPJobs(t *testing.T) {
	_, c := udpServer(t, memcached.Options{TrackSizes: true})
	if got, _ := ask(t, c, 1, "set a 0 0 1\r\nx\r\n"); got != "STORED\r\n" {
		t.Fatalf("set: %q", got)
	}
	for _, cmd := range []string{"stats cachedump 1 0", "stats sizes", "stats detail dump", "lru_crawler metadump all", "lru_crawler mgdump all", "watch", "watch mutations"} {
		if got, _ := ask(t, c, 2, cmd+"\r\n"); got != "SERVER_ERROR not available over UDP\r\n" {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	if got, _ := ask(t, c, 3, "stats cachedump 5 0\r\nget a\r\n"); got != "END\r\nVALUE a 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("empty class: %q", got)
	}
}
