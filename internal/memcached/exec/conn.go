package exec

import (
	"bytes"
	"sync/atomic"

	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/watch"
)

// Conn is the state of one connection between two calls of its session. Only the
// session uses it, except for what is marked.
type Conn struct {
	Net     netloop.Conn
	Authed  bool    // the client has logged in
	Fault   bool    // the client violated the protocol: its end is logged as an error
	Pending Pending // the command that needs more input or time, nil for none

	Datagram bool // over UDP: a command cannot take long

	discard discard
	watcher *watch.Watcher
	state   atomic.Int32 // read by stats conns

	next, prev *Conn // guarded by Engine.mu
}

// Pending is a command that needs more input, or time.
type Pending interface {
	// Step goes on with the command. in is the input that follows; n is how much
	// of it Step consumed. A step of Next ends the command. Step is also called
	// with an empty in.
	Step(b *Batch, in []byte) (n int, step netloop.Step)
	// Stop ends the command because the connection is closed. It is not called
	// after a step of Next.
	Stop(b *Engine)
}

// State is what a connection waits for, as stats conns shows it.
type State int32

// The states.
const (
	StateRead State = iota
	StateBody
	StateSwallow
	StateWatch
	StateNew // no input has arrived yet
)

var stateNames = [...]string{"conn_read", "conn_nread", "conn_swallow", "conn_watch", "conn_new_cmd"}

// SetState sets the state that stats conns shows.
func (c *Conn) SetState(s State) { c.state.Store(int32(s)) }

// Started sets the state of a connection from which input has arrived.
func (c *Conn) Started() {
	if c.state.Load() == int32(StateNew) {
		c.SetState(StateRead)
	}
}

// Open registers a connection.
func (e *Engine) Open(c *Conn) {
	c.SetState(StateNew)
	e.mu.Lock()
	c.next = e.first
	if c.next != nil {
		c.next.prev = c
	}
	e.first = c
	e.conns++
	e.peak = max(e.peak, e.conns)
	e.mu.Unlock()
	e.Log.ConnNew(c.Net)
}

// Close forgets a connection and stops its pending command.
func (e *Engine) Close(c *Conn, why netloop.Reason) {
	if c.Pending != nil {
		c.Pending.Stop(e)
		c.Pending = nil
	}
	if c.Fault && why == netloop.Normal {
		why = netloop.Failed
	}
	e.mu.Lock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		e.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	e.conns--
	e.mu.Unlock()
	if c.watcher != nil {
		e.Log.Remove(c.watcher)
	}
	e.Log.ConnClose(c.Net, why)
}

// Conns returns the number of open connections.
func (e *Engine) Conns() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conns
}

// Drained tells a watcher, which has room again, how many lines it missed.
func (e *Engine) Drained(c *Conn) { e.Log.Drained(c.watcher) }

// Watch makes the connection a watcher. It returns false if there are too many.
func (b *Batch) Watch(streams watch.Stream) bool {
	b.Conn.watcher = b.Log.Add(b.Conn.Net, streams)
	if b.Conn.watcher == nil {
		return false
	}
	b.Conn.SetState(StateWatch)
	return true
}

// discard is a Pending that skips input and then appends a reply.
type discard struct {
	left  int64
	reply string
}

// Discard skips the next n bytes of input, n > 0, and then appends the text line
// reply unless it is empty.
func (b *Batch) Discard(n int64, reply string) {
	b.Conn.discard = discard{n, reply}
	b.Conn.Pending = &b.Conn.discard
	b.Conn.SetState(StateSwallow)
}

// Step implements Pending.
func (d *discard) Step(b *Batch, in []byte) (n int, step netloop.Step) {
	n = int(min(d.left, int64(len(in))))
	d.left -= int64(n)
	if d.left > 0 {
		return n, netloop.NeedMore
	}
	b.Conn.SetState(StateRead)
	if d.reply != "" {
		b.Reply(d.reply)
	}
	return n, netloop.Next
}

// Stop implements Pending.
func (d *discard) Stop(*Engine) {}

// firstBody is the most that is reserved for a data block before it arrives.
const firstBody = 4 << 10

// body is a Pending storage command whose data block is still arriving. It grows
// with what has arrived; the announced length reserves nothing.
type body struct {
	head   []byte // the command line, or the binary header with extras and key
	data   []byte
	need   int // bytes of data
	finish Finish
}

// Finish executes a command whose data block is complete. head and data are
// those of Await.
type Finish func(b *Batch, head, data []byte) netloop.Step

// Await collects the rest of a data block of need bytes, of which data has
// arrived, and then calls finish. It copies head and data.
func (b *Batch) Await(head, data []byte, need int, finish Finish) {
	p := &body{
		head:   bytes.Clone(head),
		data:   append(make([]byte, 0, min(need, max(len(data), firstBody))), data...),
		need:   need,
		finish: finish,
	}
	b.reading.Add(int64(cap(p.data)))
	b.Conn.Pending = p
	b.Conn.SetState(StateBody)
}

// Step implements Pending.
func (p *body) Step(b *Batch, in []byte) (n int, step netloop.Step) {
	n = min(p.need-len(p.data), len(in))
	if want := len(p.data) + n; want > cap(p.data) {
		size := min(max(2*cap(p.data), want), p.need)
		grow := int64(size - cap(p.data))
		if b.reading.Add(grow) > b.readLimit {
			// As memcached does when it has no read buffer for a client.
			b.reading.Add(-grow)
			b.Count(ReadBufOOM)
			b.Conn.Fault = true
			b.Reply("SERVER_ERROR out of memory storing object")
			return n, netloop.Close
		}
		p.data = append(make([]byte, 0, size), p.data...)
	}
	p.data = append(p.data, in[:n]...)
	if len(p.data) < p.need {
		return n, netloop.NeedMore
	}
	p.Stop(b.Engine)
	b.Conn.SetState(StateRead)
	b.Conn.Pending = nil // finish may leave another
	return n, p.finish(b, p.head, p.data)
}

// Stop implements Pending.
func (p *body) Stop(e *Engine) { e.reading.Add(-int64(cap(p.data))) }
