package memcached

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// The streams of watch, as bits of Server.noting, which also has a bit for
// stats detail: one load tells a command that nobody is interested.
const (
	watchFetchers uint32 = 1 << iota
	watchMutations
	watchEvictions
	watchConnEvents
	watchDeletions
	watchRawCmds
	watchSysEvents
	watchProxyReqs
	watchProxyEvents
	watchProxyUser
	noteDetail
)

// streams are the names of the streams, in the order in which memcached looks
// for one that begins with what it was given.
var streams = []struct {
	name string
	bit  uint32
}{
	{"rawcmds", watchRawCmds},
	{"evictions", watchEvictions},
	{"fetchers", watchFetchers},
	{"mutations", watchMutations},
	{"sysevents", watchSysEvents},
	{"connevents", watchConnEvents},
	{"proxyreqs", watchProxyReqs},
	{"proxyevents", watchProxyEvents},
	{"proxyuser", watchProxyUser},
	{"deletions", watchDeletions},
}

// streamBit returns the bit of a stream by the beginning of its name, 0 where
// there is none.
func streamBit(word string) uint32 {
	for _, s := range streams {
		if short(word, s.name) {
			return s.bit
		}
	}
	return 0
}

// maxWatchers is how many connections may watch at a time.
const maxWatchers = 20

// watcher is a connection that watch has made one-way.
type watcher struct {
	conn    netloop.Conn
	streams uint32
	skipped uint64 // lines it was too slow for since the last that went out
}

// watchers hands log lines to those who want them. A line that a watcher has
// no room for is dropped: the cache never waits for one.
type watchers struct {
	mu   sync.Mutex // guards all
	list []*watcher
	gid  uint64
	buf  []byte

	sent, skipped, written uint64
}

// watch is watch [STREAM...]. It reports whether the connection is a watcher's
// now.
func (t *turn) watch(args []byte) bool {
	if t.srv.opts.DisableWatch {
		t.reply("CLIENT_ERROR watch commands not allowed")
		return false
	}
	if len(t.w.B) > 0 {
		// Replies that have not left yet are in memcached's way.
		t.reply("ERROR cannot pipeline other commands before watch")
		return false
	}
	var want uint32
	for len(args) > 0 {
		var word []byte
		if word, args = mcproto.Next(args); len(word) == 0 {
			break
		}
		bit := streamBit(string(word))
		if bit == 0 {
			t.reply("ERROR")
			return false
		}
		want |= bit
	}
	if want == 0 {
		want = watchFetchers
	}
	w := &t.srv.watch
	w.mu.Lock()
	if len(w.list) >= maxWatchers {
		w.mu.Unlock()
		t.reply("WATCHER_TOO_MANY log watcher limit reached")
		return false
	}
	t.watcher = &watcher{conn: t.conn, streams: want}
	w.list = append(w.list, t.watcher)
	t.srv.refreshNoting()
	w.mu.Unlock()
	t.state.Store(stateWatch)
	t.reply("OK")
	return true
}

// unwatch ends a watcher.
func (s *Server) unwatch(gone *watcher) {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, have := range w.list {
		if have == gone {
			w.list = append(w.list[:i], w.list[i+1:]...)
			break
		}
	}
	s.refreshNoting()
}

// refreshNoting recomputes Server.noting. s.watch.mu must be held.
func (s *Server) refreshNoting() {
	var bits uint32
	for _, w := range s.watch.list {
		bits |= w.streams
	}
	if s.detailOn.Load() {
		bits |= noteDetail
	}
	s.noting.Store(bits)
}

// log sends a line to everyone who watches stream. line appends what follows
// the time and number.
func (s *Server) log(stream uint32, line func(b []byte) []byte) {
	if s.noting.Load()&stream == 0 {
		return
	}
	now := time.Now()
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gid++
	w.written++
	b := strconv.AppendInt(append(w.buf[:0], "ts="...), s.clock.Now(), 10)
	b = append(b, '.')
	b = append(b, fmt.Sprintf("%06d", now.Nanosecond()/1000)...)
	b = strconv.AppendUint(append(b, " gid="...), w.gid, 10)
	b = append(line(append(b, ' ')), '\n')
	w.buf = b[:0]
	for _, to := range w.list {
		if to.streams&stream == 0 {
			continue
		}
		out := b
		if to.skipped > 0 {
			// In one piece, so that a line follows the figure.
			out = append(append(appendSkipped(nil, to.skipped), '\n'), b...)
		}
		if !to.conn.Send(out) {
			to.skipped++
			w.skipped++
			continue
		}
		to.skipped = 0
		w.sent++
	}
}

func appendSkipped(b []byte, n uint64) []byte {
	return strconv.AppendUint(append(b, "skipped="...), n, 10)
}

func appendField(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(append(b, ' '), name...), v, 10)
}

func appendWord(b []byte, name, v string) []byte {
	return append(append(append(b, ' '), name...), v...)
}

// logGet reports a retrieval of an item of size bytes, 0 on a miss, whose value
// has n.
func (t *turn) logGet(key []byte, status string, size, n int) {
	t.srv.log(watchFetchers, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=item_get key="...), key)
		b = appendWord(b, "status=", status)
		class := 0
		if size > 0 {
			class = store.ClassOf(size)
		}
		b = appendField(b, "clsid=", int64(class))
		b = appendField(b, "cfd=", int64(t.conn.ID()))
		return appendField(b, "size=", int64(n))
	})
}

// logStore reports a change to an item of size bytes with a value of n.
func (t *turn) logStore(key []byte, out outcome, cmd string, ttl int64, size, n int) {
	t.srv.log(watchMutations, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=item_store key="...), key)
		b = appendWord(b, "status=", outcomeNames[out])
		b = appendWord(b, "cmd=", cmd)
		b = appendField(b, "ttl=", ttl)
		b = appendField(b, "clsid=", int64(store.ClassOf(size)))
		b = appendField(b, "cfd=", int64(t.conn.ID()))
		return appendField(b, "size=", int64(n))
	})
}

// logDelete reports that an item of size bytes with a value of n was removed on
// request.
func (t *turn) logDelete(key []byte, cmd string, size, n int) {
	t.srv.log(watchDeletions, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=deleted key="...), key)
		b = appendWord(b, "cmd=", cmd)
		b = appendField(b, "clsid=", int64(store.ClassOf(size)))
		return appendField(b, "size=", int64(n))
	})
}

// logRaw reports a command line as it came, with what is not printable
// escaped.
func (t *turn) logRaw(line []byte) {
	if len(line) > 256 {
		line = line[:256]
	}
	t.srv.log(watchRawCmds, func(b []byte) []byte {
		b = strconv.AppendInt(append(b, '<'), int64(t.conn.ID()), 10)
		b = append(b, ' ')
		for _, c := range line {
			if c < ' ' || c >= 0x7f {
				b = fmt.Appendf(b, "\\x%02x", c)
			} else {
				b = append(b, c)
			}
		}
		return b
	})
}

// evicted is the store's hook: an item was dropped to make room.
func (s *Server) evicted(it store.Item) {
	s.log(watchEvictions, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=eviction key="...), it.Key)
		b = appendWord(b, "fetch=", yesNo(it.Fetched))
		now, ttl := s.clock.Now(), int64(-1)
		if it.Expiry != 0 {
			ttl = it.Expiry - now
		}
		b = appendField(b, "ttl=", ttl)
		b = appendField(b, "la=", max(0, now-it.LastAccess))
		b = appendField(b, "clsid=", int64(it.Class))
		return appendField(b, "size=", int64(it.ValueSize))
	})
}

// logConn reports that a connection began, or ended for a reason.
func (s *Server) logConn(c netloop.Conn, reason string) {
	s.log(watchConnEvents, func(b []byte) []byte {
		kind := "type=conn_new"
		if reason != "" {
			kind = "type=conn_close"
		}
		ip, port, transport := peerOf(c.RemoteAddr())
		b = append(b, kind...)
		b = appendWord(b, "rip=", ip)
		b = appendWord(b, "rport=", port)
		b = appendWord(b, "transport=", transport)
		if reason != "" {
			b = appendWord(b, "reason=", reason)
		}
		return appendField(b, "cfd=", int64(c.ID()))
	})
}

// peerOf splits an address into what the connection events show.
func peerOf(a net.Addr) (ip, port, transport string) {
	if a == nil {
		return "unknown", "0", "unknown"
	}
	switch {
	case strings.HasPrefix(a.Network(), "tcp"):
		if host, p, err := net.SplitHostPort(a.String()); err == nil {
			return host, p, "tcp"
		}
	case strings.HasPrefix(a.Network(), "udp"):
		if host, p, err := net.SplitHostPort(a.String()); err == nil {
			return host, p, "udp"
		}
	}
	return "unix", "0", "local"
}
