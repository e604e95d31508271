package memcached

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// heapAfter returns by how much f grows the live heap, in bytes.
func heapAfter(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestAnnouncedLength announces the largest lengths and sends little. Memory is
// only reserved for what has arrived.
func TestAnnouncedLength(t *testing.T) {
	s := startServer(t, Options{MaxItemSize: 1 << 30})
	for name, head := range map[string]string{
		"set":    "set a 0 0 1073741000\r\n",
		"ms":     "ms a 1073741000\r\n",
		"binary": string([]byte{0x80, 1, 0, 1, 8, 0, 0, 0, 0x3f, 0xff, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) + be32(0, 0) + "a",
	} {
		var held []*client
		grown := heapAfter(func() {
			for range 20 {
				c := dial(t, s)
				c.send(head + strings.Repeat("x", 1000))
				held = append(held, c)
			}
		})
		if grown > 20*64<<10 {
			t.Errorf("%s: %d bytes for 20 connections that sent 1000 each", name, grown)
		}
		if got := s.engine.Reading(); got <= 0 || got > 20*(4<<10) {
			t.Errorf("%s: %d bytes reserved", name, got)
		}
		for _, c := range held {
			c.hangUp()
		}
		if got := s.engine.Reading(); got != 0 {
			t.Errorf("%s: %d bytes reserved when all are gone", name, got)
		}
	}
	// A value that is too large is not kept at all.
	small := startServer(t, Options{})
	c := dial(t, small)
	c.send("set a 0 0 2147483645\r\n" + strings.Repeat("x", 100000))
	if small.engine.Reading() != 0 || len(c.in) != 0 {
		t.Error("bytes of a value that cannot be stored are kept")
	}
	if got := small.engine.Total(exec.StoreTooLarge); got != 1 {
		t.Errorf("store_too_large = %d", got)
	}
}

// TestReadBufferLimit reaches the bound of values that are still arriving.
func TestReadBufferLimit(t *testing.T) {
	s := startServer(t, Options{ReadBufferLimit: 64 << 10})
	a, b := dial(t, s), dial(t, s)
	a.want("set a 0 0 50000\r\n"+strings.Repeat("x", 40000), "")
	b.send("set b 0 0 50000\r\n" + strings.Repeat("x", 2000))
	got := b.send(strings.Repeat("x", 40000))
	if !b.closed || got != "SERVER_ERROR out of memory storing object\r\n" {
		t.Errorf("closed = %v, %q", b.closed, got)
	}
	if n := s.engine.Total(exec.ReadBufOOM); n != 1 {
		t.Errorf("read_buf_oom = %d, want 1", n)
	}
	b.hangUp()
	a.want(strings.Repeat("x", 10000)+"\r\n", "STORED\r\n")
	if n := s.engine.Reading(); n != 0 {
		t.Errorf("%d bytes still reserved", n)
	}
}

// TestReplyQueue sends commands without reading replies. The server stops reading
// instead of queueing replies without bound.
func TestReplyQueue(t *testing.T) {
	s := startServer(t, Options{})
	c := dial(t, s)
	c.want("set a 0 0 10000\r\n"+strings.Repeat("x", 10000)+"\r\n", "STORED\r\n")
	for name, in := range map[string]string{
		"one get":      "get" + strings.Repeat(" a", 20000) + "\r\n",
		"many gets":    strings.Repeat("get a\r\n", 20000),
		"many mgs":     strings.Repeat("mg a v\r\n", 20000),
		"binary quiet": strings.Repeat(binReq(9, 0, "", "a", ""), 5000),
	} {
		d := dial(t, s)
		w := netloop.NewWriter(1 << 20)
		rest, most := []byte(in), 0
		for len(rest) > 0 {
			n, next := d.s.Data(rest, w)
			most = max(most, w.Len())
			rest = rest[n:]
			if next != netloop.Yield && len(rest) > 0 {
				t.Fatalf("%s: %d with %d bytes left", name, next, len(rest))
			}
			w.Drain(nil)
		}
		if most > 1<<20+20000 {
			t.Errorf("%s: %d bytes were waiting at a time", name, most)
		}
	}
}

// TestFairness checks that a batch ends after Options.Requests commands.
func TestFairness(t *testing.T) {
	s := startServer(t, Options{Requests: 1})
	c := dial(t, s)
	c.want(strings.Repeat("mn\r\n", 10), strings.Repeat("MN\r\n", 10))
	if got := s.engine.Total(exec.ConnYields); got != 9 {
		t.Errorf("conn_yields = %d, want 9", got)
	}
}

// TestPanicContained makes a command panic. Its connection is closed, others are
// served.
func TestPanicContained(t *testing.T) {
	told := make(chan string, 1)
	s := startServer(t, Options{
		OnPanic:     func(v any, _ []byte) { told <- fmt.Sprint(v) },
		OnVerbosity: func(int) { panic("on purpose") },
	})
	l := listenOn(t, s, "tcp", "127.0.0.1:0")
	other := connect(t, "tcp", l.Addr().String())
	other.want("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	victim := connect(t, "tcp", l.Addr().String())
	victim.want("mn\r\n", "MN\r\n")
	if _, err := io.WriteString(victim.conn, "verbosity 1\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != "on purpose" {
		t.Errorf("OnPanic was told %q", got)
	}
	if n, err := victim.conn.Read(make([]byte, 10)); err == nil {
		t.Errorf("read %d bytes from the victim", n)
	}
	other.want("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n")
	if got := s.Stats().Panics; got != 1 {
		t.Errorf("%d panics, want 1", got)
	}
}

// TestKnownAttacks sends input that has broken memcached, its proxies or its
// clients. The server answers or closes the connection, and serves the next client.
func TestKnownAttacks(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		closed         bool
	}{
		{name: "CVE-2009-1255", in: "stats maps\r\nstats malloc\r\n", want: "ERROR\r\nERROR\r\n"},
		{name: "CVE-2009-2415", in: "set a 0 0 4294967295\r\nset a 0 0 99999999999999999999\r\nset a 0 0 -10\r\n", want: badFormat + badFormat + badFormat},
		{name: "CVE-2010-1152", in: strings.Repeat("x", 5000), closed: true},
		{name: "CVE-2018-1000127", in: "get" + strings.Repeat(" a", 70000) + "\r\n", want: "END\r\n"},
		{name: "CVE-2019-11596", in: "lru mode\r\nlru temp_ttl\r\n", want: "ERROR\r\nERROR\r\n"},
		{
			name: "CVE-2020-22570", in: "mg\r\nmg \r\nmg a \x00\x00\r\nms a 1 \x00\r\nx\r\nma a M\r\nmd a C\r\n",
			want: strings.Repeat(badFormat, 5) + "CLIENT_ERROR invalid mode for ma M token\r\nCLIENT_ERROR bad token in command line format\r\n",
		},
		{name: "CVE-2023-46852", in: "get" + strings.Repeat(" ", 3000) + "a\r\n", want: "END\r\n"},
		{name: "CVE-2023-46853", in: "get a\nmg a\nset a 0 0 1\nx\r\n", want: "END\r\nEN\r\nSTORED\r\n"},
		{name: "only spaces", in: strings.Repeat(" ", 5000), closed: true},
		{name: "automove window", in: "slabs automove window 0\r\nslabs automove window 4294967295\r\n", want: strings.Repeat("CLIENT_ERROR automove window too low or too high\r\n", 2)},
		{name: "reassign range", in: "slabs reassign 255 1\r\nslabs reassign 1 -5\r\n", want: strings.Repeat("BADCLASS invalid src or dst class id\r\n", 2)},
		{name: "flag without argument", in: "mg a T\r\nmg a O\r\n", want: "CLIENT_ERROR bad token in command line format\r\nEN O\r\n"},
		{name: "runs of spaces", in: "get  a   b    \r\ngat 0  a   b \r\n", want: "END\r\nEND\r\n"},
		{name: "oversize opaque", in: "ms a 1 O" + strings.Repeat("x", 200) + "\r\nx\r\nget a\r\n", want: "CLIENT_ERROR opaque token too long\r\nEND\r\n"},
		{name: "smuggling", in: "POST / HTTP/1.1\r\nHost: cache\r\n\r\nset a 0 0 1\r\nx\r\n", closed: true},
		{name: "many tokens", in: "stats" + strings.Repeat(" x", 900) + "\r\nlru" + strings.Repeat(" x", 900) + "\r\n", want: "ERROR\r\nERROR\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startServer(t, Options{})
			c := dial(t, s)
			if got := c.send(tc.in); got != tc.want || c.closed != tc.closed {
				t.Errorf("closed = %v, got %q\nwant %v, %q", c.closed, clip(got), tc.closed, clip(tc.want))
			}
			dial(t, s).want("mn\r\n", "MN\r\n")
		})
	}
}

// TestNoAllocs checks that commands allocate no more than the store does.
func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, l := range loads {
		t.Run(l.name, func(t *testing.T) {
			s := prepared(t)
			c, w := dial(t, s), netloop.NewWriter(1<<18)
			in := []byte(l.in)
			var own float64
			if strings.Contains(l.name, "set") || strings.HasPrefix(l.name, "ms") {
				key, value := []byte("key:0000000001"), make([]byte, 100)
				own = testing.AllocsPerRun(200, func() {
					tx := s.engine.Items.Begin(key)
					if _, err := tx.Put(store.Record{Parts: [2][]byte{value}}); err != nil {
						t.Error(err)
					}
					tx.End()
				})
			} else if l.name == "incr" {
				key, value := []byte("n"), []byte("1000000000")
				own = testing.AllocsPerRun(200, func() {
					tx := s.engine.Items.Begin(key)
					if tx.Find() {
						tx.Overwrite(value)
					}
					tx.End()
				})
			}
			w.B = make([]byte, 0, 1<<16)
			if got := testing.AllocsPerRun(200, func() {
				w.B = w.B[:0]
				for rest := in; len(rest) > 0; {
					n, _ := c.s.Data(rest, w)
					rest = rest[n:]
				}
			}) - own*float64(l.n); got >= 1 {
				t.Errorf("%v allocations for %d commands", got, l.n)
			}
		})
	}
}

// TestReplyMemory bounds the replies that wait, as memcached does if its read
// buffers are limited: a multiget fails, a pipeline closes the connection.
func TestReplyMemory(t *testing.T) {
	s := startServer(t, Options{ReadBufferLimit: 1 << 20, Threads: 32, Requests: 500})
	c := dial(t, s)
	c.want("get"+strings.Repeat(" foo", 500)+"\r\nmn\r\n", "SERVER_ERROR out of memory writing get response\r\nMN\r\n")
	c.want("get"+strings.Repeat(" foo", 20)+"\r\n", "END\r\n")
	d := dial(t, s)
	if got := d.send(strings.Repeat("mg foo v\r\n", 500)); got != "" || !d.closed {
		t.Errorf("closed = %v, %q", d.closed, got)
	}
	if got := s.engine.Total(exec.RespOOM); got != 2 {
		t.Errorf("response_obj_oom = %d, want 2", got)
	}
}

// TestSmallMemory checks that a small memory holds as many items as memcached's
// tests expect.
func TestSmallMemory(t *testing.T) {
	s := startServer(t, Options{MemoryLimit: 3 << 20})
	c := dial(t, s)
	value := strings.Repeat("B", 66560)
	set := func(from, to int) {
		for i := from; i < to; i++ {
			c.want(fmt.Sprintf("set key%d 0 0 66560\r\n%s\r\n", i, value), "STORED\r\n")
		}
	}
	set(0, 40)
	if got := c.stat("items", "items:31:evicted"); got == "0" || got == "" {
		t.Errorf("%q items evicted", got)
	}
	c.want("stats reset\r\n", "RESET\r\n")
	set(40, 80)
	if got := c.stat("items", "items:31:evicted"); got != "40" {
		t.Errorf("%q items evicted, want 40", got)
	}
	if got := c.stat("", "limit_maxbytes"); got != "3145728" {
		t.Errorf("limit_maxbytes = %q", got)
	}
}

// TestLargeItems fills the memory with items of almost a page. As many as there are
// pages stay, and the oldest are evicted.
func TestLargeItems(t *testing.T) {
	s := startServer(t, Options{MemoryLimit: 64 << 20})
	c := dial(t, s)
	value := strings.Repeat("x", 1<<20-250)
	for i := range 101 {
		c.want(fmt.Sprintf("set item%d 0 0 %d\r\n%s\r\n", i, len(value), value), "STORED\r\n")
	}
	if got := c.stat("", "evictions"); got != "37" {
		t.Errorf("%s items evicted, want 37", got)
	}
	for i := range 101 {
		want := "EN\r\n"
		if i >= 37 {
			want = "HD\r\n"
		}
		c.want(fmt.Sprintf("mg item%d\r\n", i), want)
	}
}

// TestReclaimed counts the memory of expired items as reclaimed by the next set.
func TestReclaimed(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	c.want("set key 0 1 66560\r\n"+strings.Repeat("A", 66560)+"\r\n", "STORED\r\n")
	s.engine.Clock.Add(3)
	c.want("set key 0 0 66570\r\n"+strings.Repeat("B", 66570)+"\r\n", "STORED\r\n")
	if got := c.stat("items", "items:31:reclaimed"); got != "1" {
		t.Errorf("reclaimed = %q after an expiry", got)
	}
	s.engine.Clock.Add(3)
	c.want("stats reset\r\nflush_all\r\nset key 0 0 1\r\nx\r\n", "RESET\r\nOK\r\nSTORED\r\n")
	if got := c.stat("", "reclaimed"); got != "1" {
		t.Errorf("reclaimed = %q after a flush", got)
	}
}

// TestMemLimitInBackground lowers the memory limit of a full cache. The command is
// answered at once, and commands are served while items are evicted.
func TestMemLimitInBackground(t *testing.T) {
	s := startServer(t, Options{MemoryLimit: 64 << 20})
	c := dial(t, s)
	value := strings.Repeat("v", 1000)
	for i := range 60000 {
		c.send(fmt.Sprintf("set key%d 0 0 1000 noreply\r\n%s\r\n", i, value))
	}
	c.want("cache_memlimit 8\r\n", "OK\r\n")
	if got := setting(s, "maxbytes"); got != "8388608" {
		t.Errorf("maxbytes %s", got)
	}
	for s.Stats().Used > 9<<20 {
		c.want("set k 0 0 1\r\nx\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n")
	}
	c.want("cache_memlimit 64\r\ncache_memlimit 16\r\ncache_memlimit 32\r\n", "OK\r\nOK\r\nOK\r\n")
	if got := s.Stats().Limit; got != 32<<20 {
		t.Errorf("limit %d", got)
	}
	if s.Stats().Evictions == 0 {
		t.Error("no evictions")
	}
}
