package memcached

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// These targets send their input over a real connection, cut into pieces, and read
// all replies. Afterwards another connection must be served, and no reserved bytes,
// session, goroutine or noticeable memory may be left.

// liveSeeds are conversations by protocol; sessionSeeds has more.
var liveSeeds = map[string][]string{
	"classic": {
		"get a\r\nset a 0 0 3\r\nabc\r\nget a a a\r\n", "set a 0 0 2147483645\r\nabc", "set a 0 0 -1\r\nget a\r\n", "set a 0 0 5\r\nab\r\nget a\r\n",
		"set n 0 0 1\r\n5\r\nincr n 18446744073709551615\r\ndecr n 99\r\nincr n x\r\nappend n 0 0 2\r\nab\r\nincr n 1\r\n",
		"set a 0 0 20000\r\n" + strings.Repeat("v", 20000) + "\r\nget" + strings.Repeat(" a", 90) + "\r\n", "get" + strings.Repeat(" k", 3000), strings.Repeat(" ", 2100),
		"gats 5 a b\r\ntouch a 9\r\ncas a 0 0 1 3\r\nx\r\ndelete a noreply\r\nflush_all 1 noreply\r\nverbosity x\r\n",
		"lru_crawler metadump all\r\n", "set a 0 0 1\r\nx\r\nlru_crawler metadump hash\r\n", "lru_crawler mgdump 1\r\nget a\r\n", "lru_crawler crawl all\r\nlru_crawler crawl 1,2,300\r\n",
		"watch fetchers mutations evictions connevents deletions rawcmds\r\nget a\r\n", "stats\r\nstats slabs\r\nstats items\r\nstats conns\r\nstats settings\r\nstats sizes\r\nstats detail on\r\nget a:b\r\nstats detail dump\r\nstats reset\r\n",
		"cache_memlimit 8\r\ncache_memlimit 99999999999\r\nslabs reassign -1 300\r\nslabs automove window 0\r\nlru tune 1 2 x y\r\nlru temp_ttl\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nset a 0 0 1\r\nx\r\n", "set a 0 0 1\nx\nget a\n", "flush_prefix a\r\nmp a\r\nconfig get cluster\r\nshutdown\r\nrefresh_certs\r\nquit\r\nget a\r\n",
	},
	"meta": {
		"mg a v t f c k l h s N30 R30\r\nms a 2 T30 F5 c k O9\r\nhi\r\nmg a v t f c k l h s\r\n", "ms YQ== 2 b k\r\nhi\r\nmg YQ== b k v\r\nme YQ== b\r\n",
		"ms a 1 MA N3\r\nx\r\nms a 1 MP\r\nx\r\nms a 1 ME\r\nx\r\nms a 1 MR\r\nx\r\nms a 1 Mq\r\nx\r\n", "ma n N0 J7 D3 t c v\r\nma n MD D9 q\r\nma n C1\r\nmn\r\n",
		"ms a 1 E5\r\nx\r\nms a 1 C3 I\r\nx\r\nmg a v c\r\nmg a v c\r\nmd a I T9\r\nmg a v R99\r\nmd a x\r\nmd a q\r\nmn\r\n", "mg a T\r\nmg a O\r\nmg a O" + strings.Repeat("o", 40) + "\r\nmg a 7\r\nmg a v v\r\nms a S\r\nms a -1\r\n",
		"ms a 2147483645 T0\r\nx", "ms " + strings.Repeat("k", 251) + " 2\r\nxx\r\nmn\r\n", "mg !!! b\r\nms !!! 1 b\r\nx\r\nma ! b\r\nmd ! b\r\n", "mg a" + strings.Repeat(" k", 30) + "\r\n",
	},
	"binary": {
		binReq(0x01, 0, be32(1, 0), "a", "value") + binReq(0x00, 0, "", "a", "") + binReq(0x0c, 0, "", "a", "") + binReq(0x09, 0, "", "b", "") + binReq(0x0a, 0, "", "", ""),
		binReq(0x05, 0, be64(1, 2)+be32(0), "n", "") + binReq(0x06, 0, be64(9, 9)+be32(0xffffffff), "m", "") + binReq(0x0e, 0, "", "a", "x") + binReq(0x0f, 0, "", "a", "x"),
		binReq(0x1c, 0, be32(5), "a", "") + binReq(0x1d, 0, be32(5), "a", "") + binReq(0x24, 0, be32(5), "a", "") + binReq(0x08, 0, be32(5), "", ""), binReq(0x10, 0, "", "", "") + binReq(0x10, 0, "", "items", "") + binReq(0x0b, 0, "", "", "") + binReq(0x07, 0, "", "", ""),
		"\x80\x01\x00\xfa\x08\x00\x00\x00\x00\x00\x00\x04" + strings.Repeat("\x00", 12) + "aaaa",         // key longer than the body
		"\x80\x00\x00\x01\x30\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 12) + "a",            // extras longer than the body
		"\x80\x0e\x00\x01\x00\x00\x00\x00\xff\xff\xff\xe8" + strings.Repeat("\x00", 12) + "a",            // a negative body
		"\x80\x01\x00\x01\x08\x00\x00\x00\x7f\xff\xff\xff" + strings.Repeat("\x00", 20) + "a",            // the longest body there can be
		"\x80\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 12) + "\x80\x21\x00", // SASL, and half a header
		binReq(0x1a, 0, "", "a", "y") + binReq(0x19, 0, "", "a", "y") + binReq(0x14, 0, "", "a", "") + binReq(0x11, 0, be32(0, 0), "q", "z") + binReq(0x17, 0, "", "", ""),
	},
}

func FuzzLiveClassic(f *testing.F) { fuzzLive(f, "classic") }
func FuzzLiveMeta(f *testing.F)    { fuzzLive(f, "meta") }
func FuzzLiveBinary(f *testing.F)  { fuzzLive(f, "binary") }

func fuzzLive(f *testing.F, protocol string) {
	for i, seed := range liveSeeds[protocol] {
		f.Add([]byte(seed), uint16(i*31))
	}
	s := startServer(f, Options{
		MemoryLimit: 8 << 20, MaxItemSize: 1 << 16, ReadBufferLimit: 1 << 20, Threads: 2, TrackSizes: true, TrackLatency: true,
		Topology: &Topology{}, OnPanic: func(v any, stack []byte) { f.Errorf("panic: %v\n%s", v, stack) },
	})
	l := listenOn(f, s, "unix", filepath.Join(f.TempDir(), "s"))
	dial := func(t *testing.T) net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err == nil {
			err = c.SetDeadline(time.Now().Add(time.Minute))
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := connect(f, "unix", l.Addr().String())
	first.want("mn\r\n", "MN\r\n") // by now all threads of the loop are there
	first.conn.Close()
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		if protocol == "binary" && len(in) > 0 {
			in[0] = 0x80 // else it is text
		}
		before := runtime.NumGoroutine()
		c := dial(t)
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, c)
			done <- err
		}()
		for step := int(cut)%997 + 1; len(in) > 0; {
			n := min(step, len(in))
			if _, err := c.Write(in[:n]); err != nil {
				break // it has been thrown out
			}
			in = in[n:]
		}
		_ = c.(*net.UnixConn).CloseWrite()
		if err := <-done; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the server neither answers nor closes: %v", err)
		}
		c.Close()

		good := dial(t)
		for _, x := range [][2]string{{"mn\r\n", "MN\r\n"}, {"set good 0 0 1\r\nx\r\n", "STORED\r\n"}, {"delete nothing\r\n", "NOT_FOUND\r\n"}} {
			reply := make([]byte, len(x[1]))
			if _, err := io.WriteString(good, x[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(good, reply); err != nil || string(reply) != x[1] {
				t.Fatalf("another connection sent %q and got %q, %v", x[0], reply, err)
			}
		}
		good.Close()

		// The loops notice the end of both connections some time later.
		for giveUp := time.Now().Add(time.Minute); ; runtime.Gosched() {
			open := s.engine.Conns()
			if open == 0 && s.engine.Reading() == 0 && runtime.NumGoroutine() <= before {
				break
			}
			if time.Now().After(giveUp) {
				t.Fatalf("%d sessions, %d bytes reserved, %d goroutines of %d left", open, s.engine.Reading(), runtime.NumGoroutine(), before)
			}
		}
		if n := s.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapInuse > 256<<20 {
			t.Fatalf("a heap of %d bytes", m.HeapInuse)
		}
		// Undo what commands have changed, for the next run.
		s.engine.SetDetail(false)
		s.engine.Crawler.Enable(true)
		if err := s.engine.SetLimit(s.opts.MemoryLimit); err != nil {
			t.Fatal(err)
		}
	})
}
