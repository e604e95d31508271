package perfcli

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// refFrom is the size in bytes from which a value is sent without a copy.
const refFrom = 16 << 10

// loadConn is one connection of the load generator.
type loadConn struct {
	load   *load
	conn   netloop.Conn
	opened chan struct{}

	// mu guards the fields below: in an open loop the pacer issues requests.
	mu      sync.Mutex
	choose  chooser
	flight  []request // requests in flight, from head on
	head    int
	fill    []uint64 // keys to set after a miss
	spare   [][]uint64
	resting bool

	// Fields of the reply that is being received.
	want   []byte // rest of the value
	inData bool
	at     int    // keys of the get that are accounted for
	line   []byte // VALUE line of the value
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
		c.load.fail(fmt.Errorf("the server cannot keep up with %g requests a second", c.load.set.rate))
		return false
	}
	return true
}

// checkDone is called when the pacer has ended.
func (c *loadConn) checkDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restIfDone()
}

// restIfDone ends the phase for this connection if nothing is left.
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

// issue appends the command of r to w and its entry to flight.
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
	c.setMissed(w, now)
	if !l.paced {
		c.refill(w, now)
	}
	c.restIfDone()
	return used, netloop.NeedMore
}

// setMissed sets the keys of c.fill. In an open loop the pacer may send before
// the loop writes w. The sets then go through Conn.Send, too, so that commands
// are sent in the order of flight, in which their replies are expected.
func (c *loadConn) setMissed(w *netloop.Writer, now int64) {
	if len(c.fill) == 0 {
		return
	}
	if c.load.paced {
		w = netloop.NewWriter(1 << 30)
	}
	for _, k := range c.fill {
		c.issue(w, request{set: true, key: k}, now)
	}
	c.fill = c.fill[:0]
	if c.load.paced && !c.conn.Send(w.Drain(nil)) {
		c.load.fail(fmt.Errorf("the server cannot keep up with %g requests a second", c.load.set.rate))
	}
}

// finished counts the request at the head and removes it.
func (c *loadConn) finished(now int64) {
	l := c.load
	t := &l.tally[c.conn.Loop()]
	r := &c.flight[c.head]
	t.requests.Add(1)
	if l.record {
		t.took.record(now - r.began)
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

// reply handles a line of the reply to r, or a part of its value. It returns 0 if
// in has no complete line.
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

// value checks a VALUE line. It must have a requested key, in the order of the
// request.
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
			return fmt.Errorf("got %.80q, expected %q or a miss", line, want)
		}
		if c.load.record {
			t.misses++
		}
	}
}

// data checks a part of a value and its line end.
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

// Closed fails the run, unless the loop is shut down.
func (c *loadConn) Closed(why netloop.Reason) {
	if why != netloop.Shutdown {
		c.load.fail(fmt.Errorf("the server closed a connection (%v)", why))
	}
}
