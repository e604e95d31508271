package memcached

import (
	"bytes"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// pinFrom is the size from which a value is sent from where it lies instead of
// being copied into the reply.
const pinFrom = 16 << 10

// firstBody is the most that is reserved for a data block before it arrives.
const firstBody = 4 << 10

// The resting states of a connection, as stats conns names them.
const (
	stateRead int32 = iota
	stateBody
	stateSwallow
	stateWatch
	stateNew // nothing has arrived yet
)

var stateNames = [...]string{"conn_read", "conn_nread", "conn_swallow", "conn_watch", "conn_new_cmd"}

// session is the protocol side of one connection. It holds only what must
// outlive a call of Data; everything else is in a turn.
type session struct {
	srv  *Server
	conn netloop.Conn

	proto  Protocol // Auto until the first byte has been seen
	authed bool

	swallow int64     // bytes of data still to be thrown away
	after   string    // the line to answer when they are gone, if any
	body    *body     // a storage command whose data is still arriving
	keys    *retrieve // a get whose line is still arriving or being answered
	job     job       // a dump that is being sent

	fault bool // the client broke the rules, which is why it is closed

	state   atomic.Int32
	watcher *watcher

	// Guarded by Server.mu.
	next, prev *session
}

// body is a storage command whose data block is still arriving. It grows with
// what has arrived; the announced length reserves nothing.
type body struct {
	head []byte // the command line, or the binary header with extras and key
	data []byte
	need int // of data
}

// job is work that takes several turns. step does some of it and reports
// whether it is done; stop gives up.
type job interface {
	step(t *turn) (done bool)
	stop()
}

// turn is the scratch space of one call of Data.
type turn struct {
	*session
	w    *netloop.Writer
	loop *tallies

	touched []uint16
	n       [numCounters]uint32

	settled int // so much of w.B is on its way: an earlier turn's, or before an mn
	replies int // commands and keys answered in this turn
	meta    mcproto.Meta
	toks    [][]byte
	key     [mcproto.MaxKey + 3]byte
	wanted  [lookahead]wanted
	scouts  []store.Ahead // keys of commands of this turn that are still to come
	atScout int           // the next of them
	num     [24]byte
	began   time.Time
	kind    int
}

func newTurn() any {
	return &turn{toks: make([][]byte, 0, 32), touched: make([]uint16, 0, 64), scouts: make([]store.Ahead, 0, lookahead)}
}

// Data is called by the event loop with what has arrived.
func (s *session) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	if s.state.Load() == stateNew {
		s.state.Store(stateRead)
	}
	t := s.srv.turns.Get().(*turn)
	t.session, t.w = s, w
	t.replies, t.settled = 0, len(w.B)
	t.loop = &s.srv.tallies[s.conn.Loop()%len(s.srv.tallies)]
	n, next := t.run(in)
	t.settle()
	t.session, t.w, t.loop = nil, nil, nil
	s.srv.turns.Put(t)
	return n, next
}

// Closed is called by the event loop at the end.
func (s *session) Closed(why netloop.Reason) {
	if s.job != nil {
		s.job.stop()
		s.job = nil
	}
	if s.body != nil {
		s.srv.reading.Add(-int64(cap(s.body.data)))
		s.body = nil
	}
	if s.fault && why == netloop.Normal {
		why = netloop.Failed
	}
	s.srv.left(s, why)
}

// Drained is called by the event loop when a watcher that lost lines has room
// again. It is told how many at once: nobody knows when the next line comes.
func (s *session) Drained() {
	w := &s.srv.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	to := s.watcher
	if to == nil || to.skipped == 0 {
		return
	}
	if to.conn.Send(append(appendSkipped(w.buf[:0], to.skipped), '\n')) {
		to.skipped = 0
	}
}

// run handles as much of in as it can and may.
func (t *turn) run(in []byte) (used int, next netloop.Step) {
	t.scouts, t.atScout = t.scouts[:0], 0
	seen := 0
	for left := t.srv.opts.Requests; ; left-- {
		if t.job != nil {
			if !t.job.step(t) {
				return used, netloop.Yield
			}
			t.job.stop()
			t.job = nil
		}
		if t.w.Len() > 0 && t.w.Full() && (used < len(in) || t.keys != nil) {
			return used, netloop.Yield
		}
		if used == len(in) {
			return used, netloop.NeedMore
		}
		if left <= 0 {
			t.count(connYields)
			return used, netloop.Yield
		}
		if t.crowded(1) {
			// memcached has nowhere to put another reply, nor an error.
			if t.w.Len() == len(t.w.B) {
				t.w.B = t.w.B[:0]
			}
			return used, netloop.Close
		}
		var n int
		var ok bool
		before := len(t.w.B)
		switch {
		case t.swallow > 0:
			n, ok = t.skip(in[used:])
		case t.body != nil:
			n, ok, next = t.collect(in[used:])
		case t.keys != nil:
			n, ok = t.moreKeys(in[used:])
		default:
			if used >= seen && t.proto == ASCII {
				seen = used + t.scout(in[used:], min(left, lookahead))
			}
			n, ok, next = t.command(in[used:])
		}
		used += n
		if t.srv.traced() && len(t.w.B) > before {
			t.trace('>', t.w.B[before:])
		}
		if next != netloop.NeedMore || !ok {
			return used, next
		}
	}
}

// command handles the command that in begins with. ok is false when there is
// not all of it yet.
func (t *turn) command(in []byte) (n int, ok bool, next netloop.Step) {
	if t.proto == Auto {
		if in[0] == mcproto.MagicRequest {
			t.proto = Binary
		} else {
			t.proto = ASCII
		}
	}
	if t.srv.opts.TrackLatency {
		t.kind, t.began = kindOther, time.Now()
	}
	if t.proto == Binary {
		n, ok, next = t.frame(in)
	} else {
		n, ok, next = t.line(in)
	}
	if t.srv.opts.TrackLatency && ok {
		t.loop.latency[t.kind].observe(time.Since(t.began))
	}
	return n, ok, next
}

// line handles one text command.
func (t *turn) line(in []byte) (n int, ok bool, next netloop.Step) {
	end := bytes.IndexByte(in, '\n')
	if t.srv.auth.Load() != nil && !t.authed {
		return t.logIn(in, end)
	}
	if end < 0 {
		if len(in) <= mcproto.MaxPending {
			return 0, false, netloop.NeedMore
		}
		if !mcproto.IsRetrieval(in) {
			t.count(malformed)
			t.fault = true
			return 0, false, netloop.Close
		}
		return t.longLine(in), true, netloop.NeedMore
	}
	n = end + 1
	line := in[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if n < 4 {
		t.reply(mcproto.ErrFormat)
		return n, true, netloop.NeedMore
	}
	return t.text(line, in, n)
}

// skip throws data away.
func (t *turn) skip(in []byte) (n int, ok bool) {
	n = int(min(t.swallow, int64(len(in))))
	t.swallow -= int64(n)
	if t.swallow > 0 {
		return n, false
	}
	t.state.Store(stateRead)
	if t.after != "" {
		t.reply(t.after)
		t.after = ""
	}
	return n, true
}

// discard arranges for the next n bytes of data to be thrown away and for
// answer, a line without its end, to be sent then. An empty answer is none.
func (t *turn) discard(n int64, answer string) {
	t.swallow, t.after = n, answer
	t.state.Store(stateSwallow)
}

// await takes over a storage command of which the data is not complete: head
// is its line or frame header, data what has arrived.
func (t *turn) await(head, data []byte, need int) {
	t.body = &body{
		head: bytes.Clone(head),
		data: append(make([]byte, 0, min(need, max(len(data), firstBody))), data...),
		need: need,
	}
	t.srv.reading.Add(int64(cap(t.body.data)))
	t.state.Store(stateBody)
}

// collect adds to the data block of t.body and runs the command when it is
// complete.
func (t *turn) collect(in []byte) (n int, ok bool, next netloop.Step) {
	b := t.body
	n = min(b.need-len(b.data), len(in))
	if want := len(b.data) + n; want > cap(b.data) {
		size := min(max(2*cap(b.data), want), b.need)
		grow := int64(size - cap(b.data))
		if t.srv.reading.Add(grow) > t.srv.readLimit {
			// The bytes are there, the memory is not: memcached drops the
			// connection of a client it has no read buffer for.
			t.srv.reading.Add(-grow)
			t.count(readBufOOM)
			t.fault = true
			t.reply("SERVER_ERROR out of memory storing object")
			return n, true, netloop.Close
		}
		b.data = append(make([]byte, 0, size), b.data...)
	}
	b.data = append(b.data, in[:n]...)
	if len(b.data) < b.need {
		return n, false, netloop.NeedMore
	}
	t.body = nil
	t.srv.reading.Add(-int64(cap(b.data)))
	t.state.Store(stateRead)
	if t.srv.opts.TrackLatency {
		t.kind, t.began = kindOther, time.Now()
	}
	switch {
	case t.proto == Binary:
		next = t.stored(b.head, b.data)
	case t.srv.auth.Load() != nil && !t.authed:
		next = t.token(b.data)
	default:
		t.storage(b.head, b.data)
	}
	if t.srv.opts.TrackLatency {
		t.loop.latency[t.kind].observe(time.Since(t.began))
	}
	return n, true, next
}

// replyCost is what memcached takes a waiting reply to cost, in bytes.
const replyCost = 1 << 10

// crowded counts n more replies and reports that they are more than may wait
// where Options.ReadBufferLimit is set.
func (t *turn) crowded(n int) bool {
	if t.srv.replies == 0 {
		return false
	}
	t.replies += n
	if t.replies <= t.srv.replies {
		return false
	}
	t.count(respOOM)
	return true
}

// reply appends a line.
func (t *turn) reply(line string) {
	t.w.B = append(append(t.w.B, line...), '\r', '\n')
}

// answer appends a line unless quiet is set.
func (t *turn) answer(quiet bool, line string) {
	if !quiet {
		t.reply(line)
	}
}
