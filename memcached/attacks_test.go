package memcached

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
)

// SECURITY.md says which known attack is tested where.

// TestHalfCommands leaves a thousand connections in the middle of a command, of
// each kind. Other clients are served, and the memory is freed at the end.
func TestHalfCommands(t *testing.T) {
	s := startServer(t, Options{MaxConns: 2000})
	l := listenOn(t, s, "unix", filepath.Join(t.TempDir(), "s"))
	halves := []string{"", "g", "get a", "set a 0 0 100000\r\nabc", "ms a 5 T9\r\n", "\x80\x01\x00\x01", "\x80\x01\x00\x01\x08\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("\x00", 20)}
	conns := make([]net.Conn, 1000)
	for i := range conns {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, halves[i%len(halves)]); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	good := connect(t, "unix", l.Addr().String())
	good.want("set b 0 0 1\r\nx\r\nget b\r\n", "STORED\r\nVALUE b 0 1\r\nx\r\nEND\r\n")
	for _, c := range conns {
		c.Close()
	}
	for s.engine.Reading() != 0 || s.loopStats().Open != 1 {
		good.want("mn\r\n", "MN\r\n")
	}
}

// TestDumpNotRead ends a dump whose client stops reading, or leaves.
func TestDumpNotRead(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	for i := range 5000 {
		c.send(fmt.Sprintf("set key%0200d 0 0 1 noreply\r\nx\r\n", i))
	}
	for _, what := range []string{"metadump", "mgdump"} {
		d := dial(t, s)
		w := netloop.NewWriter(1 << 10)
		if _, step := d.s.Data([]byte("lru_crawler "+what+" all\r\n"), w); step != netloop.Wait {
			t.Fatalf("%s: step %d, want Wait", what, step)
		}
		for range 3 {
			<-d.conn.woken
			d.s.Data(nil, w)
			if w.Len() > 1<<10+80<<10+1<<12 {
				t.Errorf("%s: %d bytes wait for a reader that has room for 1 KiB", what, w.Len())
			}
			d.conn.Wake() // has no effect while so much waits
		}
		c.want("lru_crawler "+what+" all\r\n", "BUSY currently processing crawler request\r\n")
		c.want("get no\r\n", "END\r\n")
		d.hangUp()
		for s.engine.Crawler.Running() {
			runtime.Gosched()
		}
	}
}

// TestJobsNotRead has as many clients as jobs may run ask for long replies that
// they never read. Another client gets its reply long before the write timeout. So
// does a second dump, which is refused until the first one has ended.
func TestJobsNotRead(t *testing.T) {
	s := startServer(t, Options{WriteTimeout: time.Hour, Threads: 2})
	l := listenOn(t, s, "unix", filepath.Join(t.TempDir(), "s"))
	fill := dial(t, s)
	for i := range 10_000 {
		fill.send(fmt.Sprintf("set key%0200d 0 0 1 noreply\r\nx\r\n", i))
	}
	class := regexp.MustCompile(`items:(\d+):number`).FindStringSubmatch(fill.send("stats items\r\n"))[1]
	list := "stats cachedump " + class + " 0\r\n"
	for range 16 {
		c := connect(t, "unix", l.Addr().String())
		if _, err := io.WriteString(c.conn, list); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.conn, make([]byte, 1000)); err != nil { // the job has begun
			t.Fatal(err)
		}
	}
	until := func(c net.Conn, end string) {
		t.Helper()
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == end {
				return
			}
		}
	}
	for range 2 {
		c := connect(t, "unix", l.Addr().String()).conn
		if _, err := io.WriteString(c, list); err != nil {
			t.Fatal(err)
		}
		until(c, "END\r\n")
	}

	dump := "lru_crawler metadump all\r\n"
	connect(t, "unix", l.Addr().String()).want(dump, "OK\r\n")
	second := connect(t, "unix", l.Addr().String())
	second.want(dump, "BUSY currently processing crawler request\r\n")
	for s.engine.Crawler.Running() {
		second.want("mn\r\n", "MN\r\n")
	}
	if _, err := io.WriteString(second.conn, dump); err != nil {
		t.Fatal(err)
	}
	until(second.conn, "END\r\n")
}

// TestWatchFailingSets watches storage commands that fail, in each protocol
// (memcached 32ea7d8b5).
func TestWatchFailingSets(t *testing.T) {
	s := startServer(t, Options{})
	w := watchOn(t, s, " mutations fetchers")
	big := strings.Repeat("x", 1<<20)
	dial(t, s).send("set a 0 0 1048576\r\n" + big + "\r\nms a 1048576\r\n" + big + "\r\nset a 0 0 1\r\nxyz\r\nadd a 0 0 -1\r\n")
	b := dial(t, s)
	for _, op := range []mcproto.Opcode{mcproto.OpSet, mcproto.OpSetQ, mcproto.OpAdd, mcproto.OpReplace} {
		b.send(binReq(op, 0, be32(0, 0), "a", big))
		b.send(binReq(op, 77, be32(0, 0), "a", "x"))
	}
	if got := w.lines(); len(got) == 0 || !strings.Contains(got[0], "status=too_large") {
		t.Errorf("%q", got)
	}
	dial(t, s).want("mn\r\n", "MN\r\n")
}

// TestWatchForever sends commands behind a watch: they are discarded, and not
// kept in memory.
func TestWatchForever(t *testing.T) {
	s := startServer(t, Options{WatcherBuffer: 4 << 10})
	l := listenOn(t, s, "unix", filepath.Join(t.TempDir(), "s"))
	w := connect(t, "unix", l.Addr().String())
	w.want("watch\r\n"+strings.Repeat("set a 0 0 1\r\nx\r\n", 20000), "OK\r\n")
	good := connect(t, "unix", l.Addr().String())
	good.want("get a\r\n", "END\r\n")
	if n := s.engine.Reading(); n != 0 {
		t.Errorf("%d bytes kept of what a watcher sent", n)
	}
}

// TestMemoryFileCorrupt refuses files that are no restart files, with an error of
// one line.
func TestMemoryFileCorrupt(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"text":  strings.Repeat("not a restart file\n", 10000),
		"zeros": strings.Repeat("\x00", 1<<20),
		"short": "x",
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{MemoryFile: file})
		if err == nil {
			dial(t, s).want("get a\r\n", "END\r\n")
			_ = s.Shutdown(t.Context())
			if name != "zeros" && name != "short" {
				t.Errorf("%s: taken for a restart file", name)
			}
			continue
		}
		if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %q", name, err)
		}
	}
	// The .meta file of memcached is ignored, whatever it holds.
	file := filepath.Join(dir, "fresh")
	if err := os.WriteFile(file+".meta", []byte("junk\x00\xff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dial(t, startServer(t, Options{MemoryFile: file})).want("set a 0 0 1\r\nx\r\n", "STORED\r\n")
}

// TestSizesToggle checks that no command turns the size histogram on or off
// (memcached aa20d785a).
func TestSizesToggle(t *testing.T) {
	talk(t, Options{TrackSizes: true}, []exchange{
		{"stats sizes_enable\r\nstats sizes_disable\r\n", "ERROR\r\nERROR\r\n"},
		{"set a 0 0 1\r\nx\r\nstats sizes\r\n", "STORED\r\nSTAT 64 1\r\nEND\r\n"},
	})
}
