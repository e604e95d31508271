// Package watch is the log that the command watch shows to clients.
//
// A server has one [Log]. Commands report what they did by calling a method for
// each kind of event; a line is formatted only if a connection watches its
// stream. A line for which a watcher has no room is skipped and counted: the
// cache never waits for a watcher.
//
// Lock: Log.mu guards the list of watchers and is innermost. It may be taken
// while a shard of the store is held.
package watch

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// Stream is a set of the streams of watch.
type Stream uint32

// The streams.
const (
	Fetchers Stream = 1 << iota
	Mutations
	Evictions
	ConnEvents
	Deletions
	RawCmds
	SysEvents
	ProxyReqs
	ProxyEvents
	ProxyUser

	// Detail is no stream: it is set while stats detail counts prefixes, so
	// that a command tests for both with one load.
	Detail
)

// names lists the streams in the order in which memcached matches an
// abbreviation against them.
var names = []struct {
	name   string
	stream Stream
}{
	{"rawcmds", RawCmds},
	{"evictions", Evictions},
	{"fetchers", Fetchers},
	{"mutations", Mutations},
	{"sysevents", SysEvents},
	{"connevents", ConnEvents},
	{"proxyreqs", ProxyReqs},
	{"proxyevents", ProxyEvents},
	{"proxyuser", ProxyUser},
	{"deletions", Deletions},
}

// Named returns the stream whose name begins with word, 0 if there is none.
func Named(word string) Stream {
	for _, s := range names {
		if strings.HasPrefix(s.name, word) {
			return s.stream
		}
	}
	return 0
}

// MaxWatchers is how many connections may watch at a time.
const MaxWatchers = 20

// Watcher is a connection that receives log lines.
type Watcher struct {
	conn    netloop.Conn
	streams Stream
	skipped uint64 // lines dropped since the last one that was sent; guarded by Log.mu
}

// Log passes lines to watchers. It is safe for concurrent use.
type Log struct {
	now  func() int64  // unix seconds
	mask atomic.Uint32 // the streams of all watchers, and Detail

	mu     sync.Mutex // guards what follows
	list   []*Watcher
	detail bool
	gid    uint64 // number of the last line
	buf    []byte

	sent, skipped, written uint64
}

// New returns a Log without watchers. now returns unix seconds.
func New(now func() int64) *Log { return &Log{now: now} }

// Any reports whether anything is watched or Detail is set.
func (l *Log) Any() bool { return l.mask.Load() != 0 }

// Wants reports whether one of streams is watched.
func (l *Log) Wants(streams Stream) bool { return Stream(l.mask.Load())&streams != 0 }

// Add makes c a watcher of streams. It returns nil if there are MaxWatchers.
func (l *Log) Add(c netloop.Conn, streams Stream) *Watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= MaxWatchers {
		return nil
	}
	w := &Watcher{conn: c, streams: streams}
	l.list = append(l.list, w)
	l.refresh()
	return w
}

// Remove ends a watcher.
func (l *Log) Remove(w *Watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, have := range l.list {
		if have == w {
			l.list = append(l.list[:i], l.list[i+1:]...)
			break
		}
	}
	l.refresh()
}

// SetDetail sets or clears Detail.
func (l *Log) SetDetail(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.detail = on
	l.refresh()
}

// refresh computes mask. l.mu must be held.
func (l *Log) refresh() {
	var mask Stream
	for _, w := range l.list {
		mask |= w.streams
	}
	if l.detail {
		mask |= Detail
	}
	l.mask.Store(uint32(mask))
}

// Drained tells w, which now has room again, how many lines it missed. Without
// it a watcher would learn of them only with the next line.
func (l *Log) Drained(w *Watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w == nil || w.skipped == 0 {
		return
	}
	if w.conn.Send(append(appendSkipped(l.buf[:0], w.skipped), '\n')) {
		w.skipped = 0
	}
}

// Stats are the figures of stats about the log.
type Stats struct {
	Watchers               int
	Sent, Skipped, Written uint64
}

// Stats returns the current figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Watchers: len(l.list), Sent: l.sent, Skipped: l.skipped, Written: l.written}
}

// ResetStats sets the counters to 0.
func (l *Log) ResetStats() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.skipped, l.written = 0, 0, 0
}

// write sends a line to every watcher of stream. line appends what follows the
// time and number.
func (l *Log) write(stream Stream, line func(b []byte) []byte) {
	if !l.Wants(stream) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gid++
	l.written++
	b := strconv.AppendInt(append(l.buf[:0], "ts="...), l.now(), 10)
	b = append(b, '.')
	b = append(b, fmt.Sprintf("%06d", now.Nanosecond()/1000)...)
	b = strconv.AppendUint(append(b, " gid="...), l.gid, 10)
	b = append(line(append(b, ' ')), '\n')
	l.buf = b[:0]
	for _, w := range l.list {
		if w.streams&stream == 0 {
			continue
		}
		out := b
		if w.skipped > 0 {
			// In one piece: a line always follows the count.
			out = append(append(appendSkipped(nil, w.skipped), '\n'), b...)
		}
		if !w.conn.Send(out) {
			w.skipped++
			l.skipped++
			continue
		}
		w.skipped = 0
		l.sent++
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

func classOf(size int) int64 {
	if size == 0 {
		return 0
	}
	return int64(store.ClassOf(size))
}

// Fetch logs a retrieval by connection id: size is that of the item, 0 on a
// miss, n that of its value.
func (l *Log) Fetch(id int, key []byte, status string, size, n int) {
	l.write(Fetchers, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=item_get key="...), key)
		b = appendWord(b, "status=", status)
		b = appendField(b, "clsid=", classOf(size))
		b = appendField(b, "cfd=", int64(id))
		return appendField(b, "size=", int64(n))
	})
}

// Store logs the outcome of a storage command cmd by connection id: size is
// that of the item, n that of its value, ttl the expiry time as sent.
func (l *Log) Store(id int, key []byte, status, cmd string, ttl int64, size, n int) {
	l.write(Mutations, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=item_store key="...), key)
		b = appendWord(b, "status=", status)
		b = appendWord(b, "cmd=", cmd)
		b = appendField(b, "ttl=", ttl)
		b = appendField(b, "clsid=", classOf(size))
		b = appendField(b, "cfd=", int64(id))
		return appendField(b, "size=", int64(n))
	})
}

// Delete logs that cmd removed an item of size bytes with a value of n.
func (l *Log) Delete(key []byte, cmd string, size, n int) {
	l.write(Deletions, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=deleted key="...), key)
		b = appendWord(b, "cmd=", cmd)
		b = appendField(b, "clsid=", classOf(size))
		return appendField(b, "size=", int64(n))
	})
}

// maxRaw is how many bytes of a command line Raw logs.
const maxRaw = 256

// Raw logs a command line of connection id, with bytes that are not printable
// escaped.
func (l *Log) Raw(id int, line []byte) {
	line = line[:min(len(line), maxRaw)]
	l.write(RawCmds, func(b []byte) []byte {
		b = strconv.AppendInt(append(b, '<'), int64(id), 10)
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

// Evict logs an eviction.
func (l *Log) Evict(it store.Item) {
	l.write(Evictions, func(b []byte) []byte {
		b = mcproto.AppendKey(append(b, "type=eviction key="...), it.Key)
		fetched := "no"
		if it.Fetched {
			fetched = "yes"
		}
		b = appendWord(b, "fetch=", fetched)
		now, ttl := l.now(), int64(-1)
		if it.Expiry != 0 {
			ttl = it.Expiry - now
		}
		b = appendField(b, "ttl=", ttl)
		b = appendField(b, "la=", max(0, now-it.LastAccess))
		b = appendField(b, "clsid=", int64(it.Class))
		return appendField(b, "size=", int64(it.ValueSize))
	})
}

// ConnNew logs a new connection.
func (l *Log) ConnNew(c netloop.Conn) { l.conn(c, "type=conn_new", "") }

// ConnClose logs that a connection ended, and why.
func (l *Log) ConnClose(c netloop.Conn, why netloop.Reason) {
	l.conn(c, "type=conn_close", why.String())
}

func (l *Log) conn(c netloop.Conn, kind, reason string) {
	l.write(ConnEvents, func(b []byte) []byte {
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

// peerOf splits an address into the fields of a connection event.
func peerOf(a net.Addr) (ip, port, transport string) {
	if a == nil {
		return "unknown", "0", "unknown"
	}
	for _, transport := range []string{"tcp", "udp"} {
		if strings.HasPrefix(a.Network(), transport) {
			if host, p, err := net.SplitHostPort(a.String()); err == nil {
				return host, p, transport
			}
		}
	}
	return "unix", "0", "local"
}
