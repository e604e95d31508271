package memcached

import (
	"bytes"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

// sessionSeeds are conversations for the fuzzer to start from.
var sessionSeeds = []string{
	"get a\r\n", "gets a b c\r\ngat 10 a\r\n", "set a 1 0 3\r\nabc\r\nget a\r\n", "set a 0 0 3 noreply\r\nab",
	"cas a 0 0 1 5\r\nx\r\n", "append a 0 0 1\r\nx\r\nprepend a 0 0 1\r\nx\r\n", "incr a 1\r\ndecr a 1\r\ntouch a 1\r\ndelete a\r\n",
	"ms a 2 T30 c k O9 b\r\nhi\r\nmg YQ== b v t f c k\r\nmg a N30 R30 v\r\nmd a I T3\r\nmd a x\r\nma a N0 J5 D2 v\r\nme a\r\nmn\r\n",
	"ms a 3 MA I C1\r\nabc\r\nms a S1\r\n", "stats\r\nstats items\r\nstats slabs\r\nstats settings\r\nstats conns\r\nstats detail on\r\nstats detail dump\r\n",
	"stats cachedump 1 5\r\n", "stats sizes\r\nstats reset\r\n", "lru_crawler metadump all\r\n", "lru_crawler mgdump 1,2\r\n", "lru_crawler crawl all\r\n",
	"slabs reassign 1 2\r\nslabs automove 1\r\nlru tune 10 20 .1 2\r\nlru mode flat\r\ncache_memlimit 64\r\nverbosity 1\r\n",
	"flush_all 10\r\nflush_all\r\nflush_prefix a\r\nconfig get cluster\r\nversion\r\n", "watch fetchers\r\n", "quit\r\n", "GET / HTTP/1.1\r\n\r\n",
	"debugtime p\r\ndebugtime 5\r\ndebugtime r\r\n",
	binReq(0x01, 0, be32(1, 0), "a", "value") + binReq(0x00, 0, "", "a", "") + binReq(0x0c, 0, "", "a", ""),
	binReq(0x05, 0, be64(1, 2)+be32(0), "n", "") + binReq(0x0e, 0, "", "a", "x") + binReq(0x0a, 0, "", "", ""),
	binReq(0x1c, 0, be32(5), "a", "") + binReq(0x24, 0, be32(5), "a", "") + binReq(0x08, 0, be32(5), "", "") + binReq(0x10, 0, "", "items", ""),
	binReq(0x20, 0, "", "", "") + binReq(0x21, 0, "", "PLAIN", "\x00a\x00b") + binReq(0x07, 0, "", "", ""),
}

// FuzzSession sends any bytes, cut into any pieces, to a session. It must not
// panic, must consume no more than its input, and must continue until it has
// consumed all it can.
func FuzzSession(f *testing.F) {
	for i, seed := range sessionSeeds {
		f.Add([]byte(seed), uint8(i))
	}
	s := startServer(f, Options{MemoryLimit: 1 << 20, MaxItemSize: 1 << 16, TrackSizes: true, Debug: true, TrackLatency: true, ReadBufferLimit: 1 << 20, Topology: &Topology{}})
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		c := &client{t: t, conn: &fakeConn{id: 1, woken: make(chan struct{}, 1)}}
		c.s = s.newSession(c.conn)
		defer c.hangUp()
		w := netloop.NewWriter(1 << 12)
		var pending []byte
		step := int(cut)%97 + 1
		for len(in) > 0 {
			n := min(step, len(in))
			pending = append(pending, in[:n]...)
			in = in[n:]
			for again := true; again; {
				data := bytes.Clone(pending)
				p := c.s.(netloop.Prefetcher)
				p.PrefetchRest(p.Prefetch(data))
				n, next := c.s.Data(data, w)
				if n < 0 || n > len(data) {
					t.Fatalf("consumed %d of %d", n, len(data))
				}
				for i := range data {
					data[i] = 0xdb
				}
				pending = pending[n:]
				if w.Len() > 1<<12+1<<17 {
					t.Fatalf("%d bytes of replies in one batch", w.Len())
				}
				w.Drain(nil)
				if next == netloop.Close || next == netloop.Stream {
					return
				}
				again = next == netloop.Yield
				if !again && len(pending) > 65536+24+20 {
					t.Fatalf("%d bytes left to the loop", len(pending))
				}
			}
		}
	})
}

// FuzzCut sends the same commands in one piece and byte by byte. The replies must
// be the same.
func FuzzCut(f *testing.F) {
	for _, seed := range sessionSeeds[:9] {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1500 || bytes.Contains(in, []byte("stats")) || bytes.Contains(in, []byte("dump")) ||
			bytes.Contains(in, []byte("noreply")) && bytes.Contains(in, []byte("crawl")) || len(in) > 0 && in[0] == 0x80 {
			return
		}
		play := func(cut int) (string, bool) {
			s := startServer(t, Options{MemoryLimit: 1 << 20, MaxItemSize: 1 << 16})
			defer func() { _ = s.Shutdown(t.Context()) }()
			s.engine.Clock.Pause()
			s.engine.Clock.Set(1800000000)
			c := &client{t: t, conn: &fakeConn{id: 1, woken: make(chan struct{}, 1)}}
			c.s = s.newSession(c.conn)
			defer c.hangUp()
			var out []byte
			for rest := in; len(rest) > 0; {
				n := min(cut, len(rest))
				out = append(out, c.send(string(rest[:n]))...)
				rest = rest[n:]
			}
			return string(out), c.closed
		}
		whole, closed := play(len(in))
		if bytes.HasSuffix([]byte(whole), []byte(badFormat+"\r\n")) || bytes.Contains([]byte(whole), []byte(badFormat+"\r\n")) {
			return // takes back replies that are still waiting
		}
		bytewise, closed2 := play(1)
		if whole != bytewise || closed != closed2 {
			t.Errorf("%q\nwhole    %q %v\nbytewise %q %v", in, whole, closed, bytewise, closed2)
		}
	})
}
