package perfcli

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// refFrom is the size from which a value is sent without being copied.
const refFrom = 16 << 10

// loadConn is one connection of the load generator.
type loadConn struct {
	load   *load
	conn   netloop.Conn
	opened chan struct{}

	// mu guards what follows: in an open loop requests come from the pacer.
	mu      sync.Mutex
	choose  chooser
	flight  []request // in flight, from head on
	head    int
	fill    []uint64 // keys that missed and are to be set
	spare   [][]uint64
	resting bool

	// Of the reply that is arriving.
	want   []byte // rest of a value
	inData bool
	at     int    // keys of a get of several that are accounted for
	line   []byte // that announced it
}

func (c *loadConn) pending() int { return len(c.flight) - c.head }

func (c *loadConn) spareKeys() []uint64 {
	if n := len(c.spare); n > 0 {
		k := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return k[:0]
	}
	return make([]uint64, 0, c.load.set.multi)
}

// start begins a phase.
func (c *loadConn) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting = false
	if c.load.paced {
		return
	}
	w := netloop.NewWriter(1 << 30)
	c.refill(w, c.load.now())
	c.restIfDone()
	if b := w.Drain(nil); len(b) > 0 && !c.conn.Send(b) {
		c.load.fail(fmt.Errorf("connection lost before %s", c.load.phase))
	}
}

// send issues the request that was due at began; false ends the pacing.
func (c *loadConn) send(began int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.load.source(c)
	if !ok {
		return false
	}
	w := netloop.NewWriter(1 << 30)
	c.issue(w, r, began)
	if !c.conn.Send(w.Drain(nil)) {
		c.load.fail(fmt.Errorf("the server does not keep up with %g requests a second", c.load.set.rate))
		return false
	}
	return true
}

// checkDone is called once the pacer has ended.
func (c *loadConn) checkDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restIfDone()
}

// restIfDone ends the connection's part in the phase once nothing is left.
func (c *loadConn) restIfDone() {
	if !c.resting && c.pending() == 0 && !c.load.pacing.Load() {
		c.resting = true
		if c.load.busy.Add(-1) == 0 {
			close(c.load.done)
		}
	}
}

func (l *load) now() int64 { return time.Since(l.start).Nanoseconds() }

// refill issues requests until enough are in flight.
func (c *loadConn) refill(w *netloop.Writer, now int64) {
	for c.pending() < c.load.depth {
		r, ok := c.load.source(c)
		if !ok {
			return
		}
		c.issue(w, r, now)
	}
}

// issue writes the command of r.
func (c *loadConn) issue(w *netloop.Writer, r request, began int64) {
	s := c.load.set
	r.began = began
	if c.head > 0 && c.head == len(c.flight) {
		c.flight, c.head = c.flight[:0], 0
	} else if c.head > 1024 {
		c.flight, c.head = append(c.flight[:0], c.flight[c.head:]...), 0
	}
	c.flight = append(c.flight, r)
	if !r.set {
		w.B = append(w.B, "get"...)
		if r.keys == nil {
			w.B = appendKey(append(w.B, ' '), r.key, s.keySize)
		}
		for _, k := range r.keys {
			w.B = appendKey(append(w.B, ' '), k, s.keySize)
		}
		w.B = append(w.B, '\r', '\n')
		return
	}
	v := c.load.values.of(r.key)
	w.B = appendKey(append(w.B, "set "...), r.key, s.keySize)
	w.B = append(w.B, " 0 "...)
	w.B = strconv.AppendInt(w.B, int64(s.ttl/time.Second), 10)
	w.B = strconv.AppendInt(append(w.B, ' '), int64(len(v)), 10)
	w.B = append(w.B, '\r', '\n')
	if len(v) >= refFrom {
		w.Ref(v, nil)
	} else {
		w.B = append(w.B, v...)
	}
	w.B = append(w.B, '\r', '\n')
}

// Data checks replies and sends what comes next.
func (c *loadConn) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.load
	now := l.now()
	used := 0
	for used < len(in) {
		if c.pending() == 0 {
			l.fail(fmt.Errorf("reply %.60q without a request", in[used:]))
			return len(in), netloop.Close
		}
		n, done, err := c.reply(in[used:], &c.flight[c.head])
		if err != nil {
			l.fail(err)
			return len(in), netloop.Close
		}
		if n == 0 {
			break
		}
		used += n
		if done {
			c.finished(now)
		}
	}
	for _, k := range c.fill {
		c.issue(w, request{set: true, key: k}, now)
	}
	c.fill = c.fill[:0]
	if !l.paced {
		c.refill(w, now)
	}
	c.restIfDone()
	return used, netloop.NeedMore
}

// finished accounts for the request at the head.
func (c *loadConn) finished(now int64) {
	l := c.load
	t := &l.tally[c.conn.Loop()]
	r := &c.flight[c.head]
	t.requests.Add(1)
	if l.record {
		_ = t.took.RecordValue(min(now-r.began, int64(time.Minute)))
		switch {
		case r.set:
			t.sets++
		case r.keys != nil:
			t.gets++
			t.keys += int64(len(r.keys))
		default:
			t.gets++
			t.keys++
		}
	}
	if r.keys != nil {
		c.spare = append(c.spare, r.keys)
		r.keys = nil
	}
	c.head++
	c.at = 0
}

// reply handles one step of the reply to r: a line, or as much as there is of
// a value. It consumes 0 when there is not enough.
func (c *loadConn) reply(in []byte, r *request) (n int, done bool, err error) {
	if c.inData {
		return c.data(in)
	}
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		if len(in) > 1024 {
			return 0, false, fmt.Errorf("endless line in a reply: %.60q", in)
		}
		return 0, false, nil
	}
	line := in[:end+1]
	t := &c.load.tally[c.conn.Loop()]
	switch {
	case r.set && string(line) == "STORED\r\n":
		return end + 1, true, nil
	case r.set && bytes.HasPrefix(line, []byte("SERVER_ERROR out of memory")):
		if c.load.record {
			t.notIn++
		}
		return end + 1, true, nil
	case !r.set && string(line) == "END\r\n":
		asked := max(len(r.keys), 1)
		if c.load.record {
			t.misses += int64(asked - c.at)
		}
		if c.load.set.fill && r.keys == nil && c.at == 0 {
			c.fill = append(c.fill, r.key)
		}
		return end + 1, true, nil
	case !r.set && bytes.HasPrefix(line, []byte("VALUE ")):
		return end + 1, false, c.value(line, r, t)
	}
	return 0, false, fmt.Errorf("unexpected reply %.80q", line)
}

// value handles a VALUE line. It must name a key that was asked for, in the
// order of asking.
func (c *loadConn) value(line []byte, r *request, t *loadTally) error {
	for {
		k := r.key
		switch {
		case r.keys != nil && c.at < len(r.keys):
			k = r.keys[c.at]
		case r.keys != nil || c.at > 0:
			return fmt.Errorf("value of a key that was not asked for: %.80q", line)
		}
		v := c.load.values.of(k)
		want := appendKey(append(c.line[:0], "VALUE "...), k, c.load.set.keySize)
		want = strconv.AppendInt(append(want, " 0 "...), int64(len(v)), 10)
		want = append(want, '\r', '\n')
		c.line = want
		c.at++
		if bytes.Equal(line, want) {
			c.want, c.inData = v, true
			if c.load.record {
				t.hits++
			}
			return nil
		}
		if r.keys == nil {
			return fmt.Errorf("got %.80q, want %q or a miss", line, want)
		}
		if c.load.record {
			t.misses++
		}
	}
}

// data checks a part of a value and what ends it.
func (c *loadConn) data(in []byte) (n int, done bool, err error) {
	n = min(len(in), len(c.want))
	if !bytes.Equal(in[:n], c.want[:n]) {
		return 0, false, fmt.Errorf("wrong value behind %q", c.line)
	}
	c.want = c.want[n:]
	if len(c.want) > 0 || len(in) < n+2 {
		return n, false, nil
	}
	if in[n] != '\r' || in[n+1] != '\n' {
		return 0, false, fmt.Errorf("value not ended by CR LF but %q", in[n:n+2])
	}
	c.inData = false
	return n + 2, false, nil
}

// Closed ends the run, unless the run has ended.
func (c *loadConn) Closed(why netloop.Reason) {
	if why != netloop.Shutdown {
		c.load.fail(fmt.Errorf("the server closed a connection (%v)", why))
	}
}
