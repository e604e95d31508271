package memcache

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readBuffer   = 32 << 10
	inlineLimit  = 16 << 10 // bytes under way beside which a caller may write itself
	fewInflight  = 8        // requests, likewise
	keepPending  = 256 << 10
	maxPending   = 1 << 20 // bytes waiting for the socket
	maxInflight  = 1 << 16 // requests waiting for their reply
	watchdogBeat = 4       // watchdog beats in the shorter timeout
)

// errUnsent: the connection would not take the request; nothing of it left.
var errUnsent = errors.New("memcache: request not sent")

// errUnasked: the server sent something that nobody asked for.
var errUnasked = fmt.Errorf("%w: bytes without a request", ErrProtocol)

// conn carries the requests of every caller to one server. Requests are
// appended to pending and written by one writer at a time, which goes on until
// pending is empty. Replies are read and handed out in order by whoever has the
// right to read: the connection's reader, or a caller (see lead.go).
type conn struct {
	nc                    net.Conn
	sock                  *directConn // nc, nil when it is no socket
	w                     wire
	meta                  bool
	inline                bool // a write beside little under way does not block
	ip                    string
	onDown                func(c *conn, err error) // called once, by the reader
	beat                  time.Duration
	readBeats, writeBeats uint32

	right    atomic.Int32  // who may read: free, caller or reader
	turn     chan struct{} // tells the reader that the right is its
	peek     func() error  // looks whether the idle peer hung up; nil: callers do not read
	batch    []*call       // what follows is for whoever has the right: requests taken over
	at       int           // of those, answered ones
	together int           // replies since the buffer was empty
	alone    int           // replies in a row that came when nothing else was in flight

	interrupt interrupt // of callers' reads

	mu      sync.Mutex // protects what follows
	pending []byte     // requests not given to the socket yet
	spare   []byte
	queue   []*call // requests nobody has taken over yet
	spareQ  []*call
	opaque  uint64
	taken   uint64 // bytes appended to pending ever
	writing bool   // somebody is writing, or was told to
	writeAt uint32 // tick of the start of the write
	armed   bool   // the watchdog runs
	closed  bool   // takes no more requests
	err     error  // why
	space   chan struct{}

	wrote      atomic.Uint64 // bytes given to the socket
	answeredTo atomic.Uint64 // bytes of requests that have their reply
	inflight   atomic.Int64  // requests without reply
	draining   atomic.Bool
	failed     atomic.Bool   // err is set
	answered   atomic.Bool   // at least one reply came
	crowded    atomic.Bool   // the last read brought several replies
	tick       atomic.Uint32 // beats of the watchdog
	progress   atomic.Uint32 // tick of the last reply

	wake  chan struct{} // the writer has something to do
	done  chan struct{} // closed when the reader is gone
	timer *time.Timer
}

// newConn starts a connection over nc. br may hold bytes already received.
func newConn(nc net.Conn, br *bufio.Reader, meta bool, ip string, o *Options, wg *sync.WaitGroup, onDown func(*conn, error)) *conn {
	c := &conn{
		nc: nc, meta: meta, ip: ip, onDown: onDown,
		wake: make(chan struct{}, 1),
		turn: make(chan struct{}, 1),
		done: make(chan struct{}),
		beat: min(o.ReadTimeout, o.WriteTimeout) / watchdogBeat,
	}
	c.readBeats = uint32((o.ReadTimeout + c.beat - 1) / c.beat)
	c.writeBeats = uint32((o.WriteTimeout + c.beat - 1) / c.beat)
	c.w = wire{br: br, maxValue: o.MaxItemSize, progress: func() { c.progress.Store(c.tick.Load()) }}
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn, *tls.Conn, *directConn:
		c.inline = true
	}
	c.sock, _ = nc.(*directConn)
	c.peek = peeker(nc)
	c.right.Store(reader)
	c.alone = aloneFor
	c.timer = time.AfterFunc(time.Hour, c.watch)
	c.timer.Stop()
	wg.Go(c.readLoop)
	wg.Go(c.writeLoop)
	return c
}

// send queues the request. errUnsent means that the connection is gone, ErrBusy
// that its queue is full: then space is closed when it has room.
func (c *conn) send(cl *call) (space <-chan struct{}, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errUnsent
	}
	if err := c.look(cl); err != nil {
		c.mu.Unlock()
		c.fail(err)
		c.release()
		return nil, errUnsent
	}
	if len(c.pending) >= maxPending || c.inflight.Load() >= maxInflight {
		if c.space == nil {
			c.space = make(chan struct{})
		}
		space = c.space
		c.mu.Unlock()
		return space, ErrBusy
	}
	cl.conn = c
	cl.opaque = c.opaque
	c.opaque += cl.opaques()
	cl.start = c.taken
	before := len(c.pending)
	c.pending = cl.append(c.pending, c.meta)
	c.taken += uint64(len(c.pending) - before)
	cl.after = c.taken
	cl.refs.Add(1)
	c.queue = append(c.queue, cl)
	n := c.inflight.Add(1)
	if n == 1 {
		c.progress.Store(c.tick.Load())
	}
	if !c.armed {
		c.armed = true
		c.timer.Reset(c.beat)
	}
	if c.writing {
		c.mu.Unlock()
		return nil, nil
	}
	c.writing = true
	c.writeAt = c.tick.Load()
	// What was answered has left the kernel's buffers, so that they take a short
	// request at once when little else is under way: no need to wake the writer.
	// But where many callers are at it, their requests had better share a write.
	if c.inline && n <= fewInflight && !c.crowded.Load() && c.taken-c.answeredTo.Load() <= inlineLimit {
		buf := c.take()
		c.mu.Unlock()
		c.write(buf)
		c.mu.Lock()
		c.give(buf)
		if len(c.pending) == 0 {
			c.writing = false
			c.mu.Unlock()
			return nil, nil
		}
		c.writeAt = c.tick.Load()
	}
	c.mu.Unlock()
	c.wakeWriter()
	return nil, nil
}

func (c *conn) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take swaps pending for an empty buffer. c.mu is held.
func (c *conn) take() []byte {
	buf := c.pending
	c.pending, c.spare = c.spare[:0], nil
	return buf
}

// give returns a written buffer. c.mu is held.
func (c *conn) give(buf []byte) {
	if cap(buf) <= keepPending {
		c.spare = buf
	}
	if c.space != nil && c.inflight.Load() < maxInflight {
		close(c.space)
		c.space = nil
	}
}

func (c *conn) write(buf []byte) {
	// Counted before: once the write has begun, the peer may have the bytes
	// and act on them before Write returns.
	c.wrote.Add(uint64(len(buf)))
	if _, err := c.nc.Write(buf); err != nil {
		c.fail(fmt.Errorf("%w: %w", ErrConnLost, err))
	}
}

// writeLoop flushes when the queue goes empty: what arrives during a write
// goes out with the next one.
func (c *conn) writeLoop() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		// Those who were woken with the last replies get to queue their next
		// requests first, so that these share the write.
		runtime.Gosched()
		for {
			c.mu.Lock()
			if len(c.pending) == 0 || c.err != nil {
				c.writing = false
				c.mu.Unlock()
				break
			}
			c.writeAt = c.tick.Load()
			buf := c.take()
			c.mu.Unlock()
			c.write(buf)
			c.mu.Lock()
			c.give(buf)
			c.mu.Unlock()
		}
	}
}

// readLoop reads replies while it has the right to. When the connection breaks
// it fails every call that has none.
func (c *conn) readLoop() {
	for c.read() {
		c.release()
		<-c.turn
	}
	c.timer.Stop()
	c.forget()
	c.mu.Lock()
	rest := c.queue
	c.queue = nil
	err := c.err
	if c.space != nil {
		close(c.space)
		c.space = nil
	}
	c.mu.Unlock()
	close(c.done)
	c.onDown(c, err)
	wrote := c.wrote.Load()
	for _, q := range [][]*call{c.batch[c.at:], rest} {
		for _, cl := range q {
			cl.sent = cl.start < wrote
			cl.finish(err)
		}
	}
}

// next returns the call whose reply comes next, nil when there is none. The
// caller of it has the right to read.
func (c *conn) next() *call {
	if c.at == len(c.batch) {
		clear(c.batch)
		c.mu.Lock()
		c.batch, c.queue, c.spareQ = c.queue, c.spareQ[:0], c.batch[:0]
		c.mu.Unlock()
		c.at = 0
		if len(c.batch) == 0 {
			return nil
		}
	}
	return c.batch[c.at]
}

// deliver reads a reply and hands it out. left is how many are still due; ok is
// false when the connection is broken. The caller of it has the right to read.
func (c *conn) deliver() (left int64, ok bool) {
	cl := c.next()
	if cl == nil {
		c.fail(errUnasked)
		return 0, false
	}
	answer, broken := c.w.read(cl, c.meta)
	if broken != nil {
		if !errors.Is(broken, ErrProtocol) && !errors.Is(broken, ErrServer) && !errors.Is(broken, ErrAuth) && broken != errDowngrade {
			broken = fmt.Errorf("%w: %w", ErrConnLost, broken)
		}
		c.fail(broken)
		if answer != nil {
			c.at++
			c.inflight.Add(-1)
			cl.sent = true
			cl.finish(answer)
		}
		return 0, false
	}
	c.at++
	c.together++
	if c.w.br.Buffered() == 0 {
		if crowd := c.together > 1; crowd != c.crowded.Load() {
			c.crowded.Store(crowd)
		}
		c.together = 0
	}
	c.progress.Store(c.tick.Load())
	if !c.answered.Load() {
		c.answered.Store(true)
	}
	c.answeredTo.Store(cl.after)
	left = c.inflight.Add(-1)
	cl.sent = true
	cl.finish(answer)
	if left == maxInflight-1 {
		c.mu.Lock()
		c.give(nil)
		c.mu.Unlock()
	}
	if left == 0 && c.draining.Load() {
		c.fail(errUnsent)
		return 0, false
	}
	return left, true
}

// fail closes the connection for err; the reader does the rest. Only the first
// reason is kept.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed && c.err != nil {
		return
	}
	c.closed, c.err = true, err
	c.nc.Close()
	c.failed.Store(true)
	c.attend()
}

// drain lets the requests in flight have their replies and then closes.
func (c *conn) drain() {
	c.mu.Lock()
	c.closed = true
	c.draining.Store(true)
	idle := c.inflight.Load() == 0
	c.mu.Unlock()
	if idle {
		c.fail(errUnsent)
	}
}

// watch fails the connection when a write or a reply is overdue. It beats only
// while something is in flight.
func (c *conn) watch() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	tick := c.tick.Add(1)
	var err error
	switch {
	case c.writing && tick-c.writeAt > c.writeBeats:
		err = fmt.Errorf("%w: the server does not take requests", ErrTimeout)
	case c.inflight.Load() > 0 && tick-c.progress.Load() > c.readBeats:
		err = fmt.Errorf("%w: the server does not answer", ErrTimeout)
	case c.inflight.Load() > 0 || c.writing:
		c.attend()
		c.timer.Reset(c.beat)
	case c.right.Load() != reader && tick-c.progress.Load() < 2:
		c.timer.Reset(c.beat)
	default:
		c.attend()
		c.armed = false
	}
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
	}
}
