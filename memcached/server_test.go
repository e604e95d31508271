package memcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lintel.dev/internal/memcached/listen"
	"lintel.dev/internal/memcached/netloop"
)

func newSmallWriter() *netloop.Writer { return netloop.NewWriter(64) }

// peer is a client on a real socket.
type peer struct {
	t    testing.TB
	conn net.Conn
}

func connect(t testing.TB, network, addr string) *peer {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t, c}
}

// want sends text and reads as many bytes as reply has.
func (p *peer) want(send, reply string) {
	p.t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.conn, send)
		sent <- err
	}()
	got := make([]byte, len(reply))
	n, err := io.ReadFull(p.conn, got)
	if err != nil || string(got) != reply {
		p.t.Errorf("sent %q\n got %q (%v)\nwant %q", clip(send), clip(string(got[:n])), err, clip(reply))
	}
	if err := <-sent; err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// listenOn serves s on a new listener.
func listenOn(t testing.TB, s *Server, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return l
}

func TestServe(t *testing.T) {
	s := startServer(t, Options{Threads: 2})
	tcp := listenOn(t, s, "tcp", "127.0.0.1:0")
	path := filepath.Join(t.TempDir(), "socket")
	unix := listenOn(t, s, "unix", path)
	big := strings.Repeat("0123456789abcdef", 60000) // 960,000 bytes: sent by reference
	for _, l := range []net.Listener{tcp, unix} {
		p := connect(t, l.Addr().Network(), l.Addr().String())
		p.want("set big 0 0 960000\r\n"+big+"\r\nget big big nope\r\n",
			"STORED\r\n"+strings.Repeat("VALUE big 0 960000\r\n"+big+"\r\n", 2)+"END\r\n")
		p.want("mg big v s\r\nset a 0 0 1\r\nx\r\nget a\r\n", "VA 960000 s960000\r\n"+big+"\r\nSTORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	}
	// All connections see the same items. A large item may be replaced while it
	// is being sent to another client.
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			p := connect(t, "tcp", tcp.Addr().String())
			key := fmt.Sprintf("k%d", i%2)
			for range 20 {
				v := strings.Repeat(string(rune('a'+i)), 100000)
				p.want(fmt.Sprintf("set %s 0 0 100000\r\n%s\r\n", key, v), "STORED\r\n")
				if _, err := io.WriteString(p.conn, "get "+key+"\r\n"); err != nil {
					t.Error(err)
					return
				}
				got := make([]byte, len("VALUE k0 0 100000\r\n")+100000+len("\r\nEND\r\n"))
				if _, err := io.ReadFull(p.conn, got); err != nil {
					t.Error(err)
					return
				}
				value := got[len("VALUE k0 0 100000\r\n"):][:100000]
				if bytes.Count(value, value[:1]) != len(value) || !strings.HasSuffix(string(got), "\r\nEND\r\n") {
					t.Errorf("a torn value: %q...", value[:20])
				}
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Accepted != 6 || st.Panics != 0 {
		t.Errorf("Stats() = %+v", st)
	}
}

func TestStatsConns(t *testing.T) {
	s := startServer(t, Options{})
	path := filepath.Join(t.TempDir(), "socket")
	listenOn(t, s, "unix", path)
	tcp := listenOn(t, s, "tcp", "127.0.0.1:0")
	busy := connect(t, "unix", path)
	busy.want("mn\r\nset a 0 0 6\r\nx", "MN\r\n")
	watcher := connect(t, "tcp", tcp.Addr().String())
	watcher.want("watch\r\n", "OK\r\n")
	ask := connect(t, "tcp", tcp.Addr().String())
	if _, err := io.WriteString(ask.conn, "stats conns\r\n"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for buf := make([]byte, 4096); !strings.HasSuffix(got.String(), "END\r\n"); {
		n, err := ask.conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	for _, want := range []string{
		":addr unix:" + path, ":listen_addr unix:" + path, ":state conn_listening", ":state conn_nread", ":state conn_parse_cmd", ":state conn_watch",
		":addr tcp:" + ask.conn.LocalAddr().String(), ":listen_addr tcp:" + tcp.Addr().String(), ":secs_since_last_cmd ",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("stats conns lacks %q:\n%s", want, got.String())
		}
	}
	busy.want("12345\r\n", "STORED\r\n")
}

func TestMaxConns(t *testing.T) {
	s := startServer(t, Options{MaxConns: 2})
	l := listenOn(t, s, "tcp", "127.0.0.1:0")
	a, b := connect(t, "tcp", l.Addr().String()), connect(t, "tcp", l.Addr().String())
	a.want("mn\r\n", "MN\r\n")
	b.want("mn\r\n", "MN\r\n")
	over := connect(t, "tcp", l.Addr().String())
	got, err := io.ReadAll(over.conn)
	if string(got) != "ERROR Too many open connections\r\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if st := s.Stats(); st.Rejected != 1 {
		t.Errorf("%d rejected, want 1", st.Rejected)
	}
}

func TestShutdown(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	p := connect(t, "tcp", l.Addr().String())
	p.want("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	for range 2 {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
	if err := <-done; !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if n, err := p.conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a server that is down", n)
	}
	l, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown returned %v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"memory": {MemoryLimit: 1000}, "negative memory": {MemoryLimit: -1}, "small item": {MaxItemSize: 1000},
		"large item": {MaxItemSize: 1<<30 + 1}, "connections": {MaxConns: -1}, "threads": {Threads: -1}, "many threads": {Threads: maxThreads + 1}, "requests": {Requests: -1},
		"protocol": {Protocol: "http"}, "sasl without file": {SASL: true}, "both logins": {SASL: true, SASLFile: "x", AuthFile: "y"},
		"sasl in ascii": {SASL: true, SASLFile: "x", Protocol: ASCII}, "auth in binary": {AuthFile: "x", Protocol: Binary},
		"shutdown": {EnableShutdown: true}, "idle": {IdleTimeout: -1}, "watcher": {WatcherBuffer: -1}, "read limit": {ReadBufferLimit: -1},
	} {
		_, err := New(o)
		if !errors.Is(err, ErrOptions) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLatency(t *testing.T) {
	s := startServer(t, Options{TrackLatency: true})
	c := dial(t, s)
	c.send("set a 0 0 1\r\nx\r\nget a\r\nget b\r\nmg a\r\nms a 1\r\nx\r\nmd a\r\nma n N0\r\ndelete a\r\nincr n 1\r\ntouch a 1\r\nversion\r\n")
	want := map[string]uint64{"get": 2, "set": 1, "delete": 1, "incr": 1, "touch": 1, "mg": 1, "ms": 1, "md": 1, "ma": 1, "other": 1}
	for _, l := range s.Latency() {
		sum := uint64(0)
		for _, n := range l.Buckets {
			sum += n
		}
		if l.Count != want[l.Command] || sum != l.Count || l.Sum <= 0 || len(l.Buckets) != len(Bounds())+1 {
			t.Errorf("%s: %d in %v, want %d", l.Command, l.Count, l.Sum, want[l.Command])
		}
	}
}

// TestRestart stops a server with a memory file and starts another on it.
func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory")
	opts := Options{MemoryFile: file}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	c.want("ms a 3 F7 E99\r\nval\r\nset gone 0 -1 1\r\nx\r\nset b 0 1000 1\r\ny\r\n", "HD\r\nSTORED\r\nSTORED\r\n")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, opts)
	c = dial(t, s)
	c.want("mg a v f c\r\nget gone b\r\n", "VA 3 f7 c99\r\nval\r\nVALUE b 0 1\r\ny\r\nEND\r\n")
	stats := c.send("stats\r\n")
	for _, want := range []string{"STAT memory_file_damaged_items 0\r\n", "STAT memory_file_no_space 0\r\n"} {
		if !strings.Contains(stats, want) {
			t.Errorf("stats has no line %q", want)
		}
	}

	if err := os.WriteFile(file+"2.meta", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{MemoryFile: file + "2"}); err == nil {
		t.Error("started on an empty .meta file")
	}
	if err := os.WriteFile(file+"2.meta", []byte("of another program"), 0o600); err != nil {
		t.Fatal(err)
	}
	dial(t, startServer(t, Options{MemoryFile: file + "2"})).want("get a\r\n", "END\r\n")
}

// TestStatsConnsUDP checks that stats conns lists UDP sockets, with addresses of
// the family that was requested.
// TestListenersCount: curr_connections has memcached's listeners but one, and
// total_connections all of them, beside one connection to each here. One for all addresses of both families is two.
func TestListenersCount(t *testing.T) {
	for _, c := range []struct {
		addresses   []string
		curr, total string
	}{
		{nil, "0", "0"},
		{[]string{"127.0.0.1:0"}, "1", "2"},
		{[]string{"127.0.0.1:0", "127.0.0.1:0"}, "3", "4"},
		{[]string{":0"}, "2", "3"},
	} {
		s := startServer(t, Options{})
		for _, a := range c.addresses {
			at := listenOn(t, s, "tcp", a).Addr().(*net.TCPAddr)
			if a == ":0" && at.IP.To4() != nil {
				t.Skip("no IPv6")
			}
			connect(t, "tcp", fmt.Sprintf("127.0.0.1:%d", at.Port)).want("mn\r\n", "MN\r\n") // served by now
		}
		ask := dial(t, s)
		if curr, total := ask.stat("", "curr_connections"), ask.stat("", "total_connections"); curr != c.curr || total != c.total {
			t.Errorf("%q: curr_connections %s, total_connections %s, want %s, %s", c.addresses, curr, total, c.curr, c.total)
		}
	}
}

func TestStatsConnsUDP(t *testing.T) {
	s := startServer(t, Options{})
	e, err := listen.Parse("0.0.0.0:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := e.ListenPacket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServePacket(packets[0]) }()
	want := ":addr udp:" + packets[0].LocalAddr().String()
	if !strings.HasPrefix(want, ":addr udp:0.0.0.0:") {
		t.Errorf("the socket's address is %s", packets[0].LocalAddr())
	}
	c := dial(t, s)
	for !strings.Contains(c.send("stats conns\r\n"), want+"\r\n") {
		select {
		case err := <-done:
			t.Fatalf("ServePacket returned %v", err)
		default:
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, ErrServerClosed) {
		t.Errorf("ServePacket returned %v", err)
	}
}
