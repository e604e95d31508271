// Package watch is the log that the command watch shows to clients.
//
// A server has one [Log]. Commands report what they did by calling a method for
// each kind of event. A line is formatted once, and only if a connection that has
// room watches its stream. It goes to a queue of at most 256 KiB, from which a timer
// sends all lines that have come in a millisecond to each watcher in a few pieces.
// Lines that the queue or a watcher has no room for are skipped and counted: the
// cache never waits for a watcher, and a watcher that does not read costs nothing
// but a counter.
//
// Locks: Log.mu guards the list of watchers; it is held while lines are sent. Under
// it, or alone, queue.mu is held for a copy. Both are innermost. queue.mu may be
// taken while a shard of the store is held.
package watch

import (
	"fmt"
	"math/bits"
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

// Watcher is a connection that receives log lines. Log.mu guards it.
type Watcher struct {
	conn    netloop.Conn
	streams Stream
	skipped uint64 // lines dropped since the last one that was sent
	full    bool   // Send has refused lines: none are sent before Drained
}

// numStreams is the number of streams.
const numStreams = 10

// Log passes lines to watchers. It is safe for concurrent use.
type Log struct {
	now   func() int64 // unix seconds
	chunk int          // how many bytes are sent to a watcher at a time

	mask   atomic.Uint32 // the streams of all watchers, and Detail
	muted  atomic.Uint32 // the streams of which all watchers are full
	gid    atomic.Uint64 // number of the last line
	missed [numStreams]atomic.Uint64
	queue  queue

	mu     sync.Mutex // guards what follows
	list   []*Watcher
	detail bool
	buf    []byte

	sent, skipped uint64
}

// queue holds the lines that are to be sent.
type queue struct {
	timer *time.Timer // sends the lines, set when the first one comes

	mu      sync.Mutex // guards what follows
	text    []byte
	lines   []line
	written uint64
	dropped uint64
}

// line is a line of a queue.
type line struct {
	stream Stream
	end    int // in the text
}

const (
	maxQueue   = 256 << 10        // bytes of a queue
	flushEvery = time.Millisecond // how long a line waits to be sent
	maxChunk   = 8 << 10
)

// MinBuffer is the least budget of Conn.Send of a watcher, in bytes: any line fits.
const MinBuffer = 4 << 10

// New returns a Log without watchers. now returns unix seconds. buffer is the
// budget of Conn.Send of a watcher, in bytes.
func New(now func() int64, buffer int) *Log {
	l := &Log{now: now, chunk: min(maxChunk, max(buffer, MinBuffer)/2)}
	l.queue.timer = time.AfterFunc(time.Hour, l.Flush)
	l.queue.timer.Stop()
	return l
}

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

// refresh computes mask and muted. l.mu must be held.
func (l *Log) refresh() {
	var mask, room Stream
	for _, w := range l.list {
		mask |= w.streams
		if !w.full {
			room |= w.streams
		}
	}
	l.muted.Store(uint32(mask &^ room))
	if l.detail {
		mask |= Detail
	}
	l.mask.Store(uint32(mask))
}

// Drained sends w, which has room again, the number of lines it has missed.
func (l *Log) Drained(w *Watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w == nil {
		return
	}
	l.collect()
	w.full = false
	if w.skipped > 0 {
		if w.conn.Send(append(appendSkipped(l.buf[:0], w.skipped), '\n')) {
			w.skipped = 0
		} else {
			w.full = true
		}
	}
	l.refresh()
}

// collect adds the lines that were not formatted to the counts of the watchers.
// l.mu must be held.
func (l *Log) collect() {
	for i := range l.missed {
		n := l.missed[i].Swap(0)
		if n == 0 {
			continue
		}
		for _, w := range l.list {
			if w.streams&(1<<i) != 0 {
				w.skipped += n
				l.skipped += n
			}
		}
	}
}

// Stats are the figures of stats about the log.
type Stats struct {
	Watchers int
	Sent     uint64 // lines sent to watchers
	Skipped  uint64 // lines that watchers have missed
	Written  uint64 // lines written to the queue
	Dropped  uint64 // lines that the queue had no room for
}

// Stats returns the current figures.
func (l *Log) Stats() Stats {
	l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	q := &l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Watchers: len(l.list), Sent: l.sent, Skipped: l.skipped, Written: q.written, Dropped: q.dropped}
}

// ResetStats sets the counters to 0.
func (l *Log) ResetStats() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	l.sent, l.skipped = 0, 0
	q := &l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written, q.dropped = 0, 0
}

// lineBuffers holds buffers in which lines are formatted.
var lineBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// write queues a line for the watchers of stream. line appends what follows the
// time and number.
func (l *Log) write(stream Stream, line func(b []byte) []byte) {
	if !l.Wants(stream) {
		return
	}
	if Stream(l.muted.Load())&stream != 0 {
		l.missed[bits.TrailingZeros32(uint32(stream))].Add(1)
		return
	}
	buf := lineBuffers.Get().(*[]byte)
	b := strconv.AppendInt(append((*buf)[:0], "ts="...), l.now(), 10)
	b = append(b, '.')
	micros := time.Now().Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	b = strconv.AppendUint(append(b, " gid="...), l.gid.Add(1), 10)
	b = append(line(append(b, ' ')), '\n')
	if !l.queue.put(stream, b) {
		l.missed[bits.TrailingZeros32(uint32(stream))].Add(1)
	}
	*buf = b
	lineBuffers.Put(buf)
}

// put adds a line. It returns false if there is no room.
func (q *queue) put(stream Stream, b []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written++
	if len(q.text)+len(b) > maxQueue {
		q.dropped++
		return false
	}
	q.text = append(q.text, b...)
	q.lines = append(q.lines, line{stream, len(q.text)})
	if len(q.lines) == 1 {
		q.timer.Reset(flushEvery)
	}
	return true
}

// Flush sends the lines of the queue to the watchers.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &l.queue
	q.mu.Lock()
	text, lines := q.text, q.lines
	q.text, q.lines = nil, nil
	q.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	for _, w := range l.list {
		l.send(w, text, lines)
	}
	l.refresh()
	q.mu.Lock()
	if q.lines == nil { // use the memory again
		q.text, q.lines = text[:0], lines[:0]
	}
	q.mu.Unlock()
}

// send sends w its streams of lines. l.mu must be held.
func (l *Log) send(w *Watcher, text []byte, lines []line) {
	piece, n := l.buf[:0], uint64(0)
	flush := func() {
		switch {
		case n == 0:
		case w.full || !w.conn.Send(piece):
			w.full = true
			w.skipped += n
			l.skipped += n
		default:
			w.skipped = 0
			l.sent += n
		}
		piece, n = piece[:0], 0
	}
	start := 0
	for _, ln := range lines {
		b := text[start:ln.end]
		start = ln.end
		if w.streams&ln.stream == 0 {
			continue
		}
		if len(piece)+len(b) > l.chunk {
			flush()
		}
		if n == 0 && w.skipped > 0 && !w.full {
			// In one piece: a line always follows the count.
			piece = append(appendSkipped(piece, w.skipped), '\n')
		}
		piece = append(piece, b...)
		n++
	}
	flush()
	l.buf = piece
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
