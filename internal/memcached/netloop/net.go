package netloop

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// netLoop is the portable driver: a goroutine for each connection.
type netLoop struct {
	*core
	serving sync.WaitGroup // acceptors and connections

	// lmu guards what follows.
	lmu       sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*netConn]struct{}
	nextID    int
	down      bool
}

var _ Loop = (*netLoop)(nil)

func newNetLoop(c *core) *netLoop {
	return &netLoop{
		core:      c,
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*netConn]struct{}),
	}
}

func (l *netLoop) Serve(ln net.Listener) error {
	l.lmu.Lock()
	if l.down {
		l.lmu.Unlock()
		ln.Close()
		return ErrClosed
	}
	l.listeners[ln] = struct{}{}
	l.serving.Add(1)
	l.lmu.Unlock()
	defer l.serving.Done()
	defer func() {
		ln.Close()
		l.lmu.Lock()
		delete(l.listeners, ln)
		l.lmu.Unlock()
	}()

	accept := ln.Accept
	if t, ok := ln.(TLSListener); ok {
		accept = func() (net.Conn, error) {
			nc, err := t.Plain().Accept()
			if err != nil {
				return nil, err
			}
			return tls.Server(&pacedConn{Conn: nc, pacer: &l.pacer}, t.Config()), nil
		}
	}
	for {
		if l.cfg.PauseAtLimit && !l.waitForRoom() {
			return ErrClosed
		}
		nc, err := accept()
		if err != nil {
			if l.isClosing() {
				return ErrClosed
			}
			if pauseFor(err) {
				if !l.waitForFreed(time.Second / 10) {
					return ErrClosed
				}
				continue
			}
			return err
		}
		if !l.admit() {
			l.rejected.Add(1)
			l.reject(nc)
			continue
		}
		if err := l.begin(nc); err != nil {
			return err
		}
	}
}

func (l *netLoop) Adopt(nc net.Conn) error {
	l.adopted()
	return l.begin(nc)
}

// begin serves a connection that has been counted.
func (l *netLoop) begin(nc net.Conn) error {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	if l.down {
		nc.Close()
		l.ended()
		return ErrClosed
	}
	c := &netConn{loop: l, nc: nc, id: l.nextID, fd: descriptor(nc), wakeup: make(chan struct{}, 1)}
	l.nextID++
	c.active.Store(l.seconds())
	l.conns[c] = struct{}{}
	l.serving.Add(1)
	go c.serve()
	return nil
}

// reject sends RejectMessage and closes the connection. It does not wait for
// the peer.
func (l *netLoop) reject(nc net.Conn) {
	if _, isTLS := nc.(handshaker); !isTLS && len(l.cfg.RejectMessage) > 0 {
		// The empty send buffer of a new socket takes a short message at once.
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write(l.cfg.RejectMessage)
	}
	nc.Close()
}

// waitForRoom blocks while MaxConns connections are open. It returns false when
// the loop is closing.
func (l *netLoop) waitForRoom() bool {
	if !l.full() {
		return !l.isClosing()
	}
	l.gate.Lock()
	defer l.gate.Unlock()
	l.pausing(+1)
	for l.full() && !l.closing {
		l.freed.Wait()
	}
	l.pausing(-1)
	return !l.closing
}

// waitForFreed pauses an acceptor that ran out of descriptors until a connection
// ends, for d at most. It returns false when the loop is closing.
func (l *netLoop) waitForFreed(d time.Duration) bool {
	t := time.AfterFunc(d, func() {
		l.gate.Lock()
		l.freed.Broadcast()
		l.gate.Unlock()
	})
	defer t.Stop()
	l.gate.Lock()
	defer l.gate.Unlock()
	if !l.closing {
		l.pausing(+1)
		l.freed.Wait()
		l.pausing(-1)
	}
	return !l.closing
}

func (l *netLoop) Shutdown(ctx context.Context) error {
	l.gate.Lock()
	l.closing = true
	l.freed.Broadcast()
	l.gate.Unlock()

	l.lmu.Lock()
	l.down = true
	for ln := range l.listeners {
		ln.Close()
	}
	for c := range l.conns {
		c.Close(Shutdown)
	}
	l.lmu.Unlock()

	return await(ctx, &l.serving)
}

// await waits for wg until ctx is done, and returns the error of ctx then.
func await(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *netLoop) Conns() iter.Seq[Conn] {
	return func(yield func(Conn) bool) {
		l.lmu.Lock()
		open := make([]*netConn, 0, len(l.conns))
		for c := range l.conns {
			if c.ready.Load() {
				open = append(open, c)
			}
		}
		l.lmu.Unlock()
		for _, c := range open {
			if !yield(c) {
				return
			}
		}
	}
}

func (l *netLoop) Stats() Stats {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	s := l.stats()
	for c := range l.conns {
		s.BytesRead += c.read.Load()
		s.BytesWritten += c.written.Load()
	}
	return s
}

// netConn is one connection of the portable driver.
type netConn struct {
	loop   *netLoop
	nc     net.Conn
	id, fd int
	ready  atomic.Bool // past the handshake
	active atomic.Int64
	// Counted for each connection, so that connections do not share cache lines.
	// At the end they are added to the loop's.
	read, written atomic.Uint64

	why    atomic.Int32  // 1 + the first Reason given to Close
	oneWay atomic.Bool   // its session returned Stream
	wakeup chan struct{} // holds a token from Wake to the end of the next wait

	// wmu is held while nc is written to, by the session and by drainSent.
	wmu sync.Mutex

	// smu guards what follows. It is taken after wmu, never before.
	smu     sync.Mutex
	sent    []byte // queued by Send, not yet taken by the sender
	sending bool   // a goroutine is writing sent out
	refused bool   // Send returned false since Drained was last called
	closed  bool
	session Session
	reads   bool // a parked session's connection is being read
}

func (c *netConn) ID() int {
	if c.fd >= 0 {
		return c.fd
	}
	return c.id
}
func (c *netConn) Loop() int            { return c.id % c.loop.cfg.Threads }
func (c *netConn) LocalAddr() net.Addr  { return c.nc.LocalAddr() }
func (c *netConn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }
func (c *netConn) Active() int64        { return c.active.Load() }

// goodbyeTime bounds how long the end of a TLS connection waits to send close_notify
// to a peer that does not read.
const goodbyeTime = time.Second

func (c *netConn) Close(why Reason) {
	c.why.CompareAndSwap(0, int32(why)+1)
	if _, ok := c.nc.(handshaker); ok && c.ready.Load() && why != Failed {
		// The goroutine of the connection sends close_notify.
		c.nc.SetReadDeadline(longAgo)
		time.AfterFunc(goodbyeTime, c.hangUp)
	} else {
		c.hangUp()
	}
	c.Wake()
}

// goodbye closes the connection, over TLS with close_notify.
func (c *netConn) goodbye() {
	t := time.AfterFunc(goodbyeTime, c.hangUp)
	defer t.Stop()
	c.nc.Close()
}

// hangUp closes the socket. Close of a TLS connection may wait for a writer, so
// it closes the socket below.
func (c *netConn) hangUp() {
	if t, ok := c.nc.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	c.nc.Close()
}

func (c *netConn) Send(b []byte) bool {
	c.smu.Lock()
	defer c.smu.Unlock()
	if c.closed || len(c.sent)+len(b) > c.loop.cfg.SendBudget {
		c.refused = true
		return false
	}
	c.sent = append(c.sent, b...)
	if !c.sending {
		c.sending = true
		c.loop.serving.Add(1)
		go c.drainSent()
	}
	return true
}

// drainSent writes what Send queued, until nothing is left.
func (c *netConn) drainSent() {
	defer c.loop.serving.Done()
	var buf []byte
	for {
		c.wmu.Lock()
		c.smu.Lock()
		if len(c.sent) == 0 || c.closed {
			notify := c.refused && !c.closed
			c.sending, c.refused = notify, false
			session := c.session
			c.smu.Unlock()
			c.wmu.Unlock()
			if !notify {
				return
			}
			drained(session)
			continue
		}
		buf, c.sent = c.sent, buf[:0]
		c.smu.Unlock()
		err := c.write(&Writer{B: buf})
		c.wmu.Unlock()
		if err != nil {
			c.fail(err)
			c.smu.Lock()
			c.sending = false
			c.sent = nil
			c.smu.Unlock()
			return
		}
	}
}

// fail closes the connection for an error of its socket.
func (c *netConn) fail(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.loop.slowKicks.Add(1)
	}
	c.Close(Failed)
}

// write sends the content of w. The caller holds c.wmu.
func (c *netConn) write(w *Writer) error {
	if d := c.loop.cfg.WriteTimeout; d > 0 {
		until := time.Time{}
		if !c.oneWay.Load() {
			until = time.Now().Add(d)
		}
		c.nc.SetWriteDeadline(until)
	}
	if len(w.refs) == 0 {
		n, err := c.nc.Write(w.B)
		c.written.Add(uint64(n))
		return err
	}
	bufs := net.Buffers(w.pieces(nil, 0, 2*len(w.refs)+1))
	n, err := bufs.WriteTo(c.nc)
	c.written.Add(uint64(n))
	return err
}

const (
	readSmall = 2 << 10
	readLarge = 64 << 10
	keepReply = 64 << 10 // larger reply buffers are freed after use
)

// serve runs the connection until its end.
func (c *netConn) serve() {
	l := c.loop
	defer l.serving.Done()
	defer l.ended()
	defer func() {
		l.lmu.Lock()
		delete(l.conns, c)
		l.bytesRead.Add(c.read.Load())
		l.bytesWritten.Add(c.written.Load())
		l.lmu.Unlock()
	}()
	defer c.hangUp()

	if h, ok := c.nc.(handshaker); ok {
		ctx, cancel := context.WithTimeout(context.Background(), l.cfg.HandshakeTimeout)
		// A goroutine of its own, since a handshake grows the stack, which would stay
		// large while the connection is idle: 23 KiB of memory instead of 18.
		done := make(chan error)
		go func() { done <- paced(ctx, h) }()
		err := <-done
		cancel()
		if err != nil {
			l.badHandshakes.Add(1)
			if l.cfg.OnHandshakeError != nil {
				l.cfg.OnHandshakeError(c.nc.RemoteAddr(), err)
			}
			return
		}
		l.handshakes.Add(1)
		acknowledge(c.fd)
	}
	s := l.cfg.NewSession(c)
	c.smu.Lock()
	c.session = s
	c.smu.Unlock()
	c.ready.Store(true)
	why := c.converse(s)
	if first := c.why.Load(); first != 0 {
		why = Reason(first - 1)
	}
	c.smu.Lock()
	c.closed = true
	c.sent = nil
	c.smu.Unlock()
	c.ready.Store(false)
	l.onClose(s, why)
	c.goodbye()
}

// converse reads, calls the session and writes its replies, until the connection
// ends. It returns why.
func (c *netConn) converse(s Session) Reason {
	l := c.loop
	w := &Writer{soft: l.cfg.SoftQueued}
	defer w.reset()
	buf := make([]byte, 0, readSmall)
	from := 0 // buf[from:] is not consumed
	stream := false
	for {
		if from == len(buf) {
			buf, from = buf[:0], 0
			if cap(buf) > readLarge {
				buf = make([]byte, 0, readLarge)
			}
		}
		if from > 0 {
			buf, from = buf[:copy(buf, buf[from:])], 0
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, max(2*cap(buf), readSmall)), buf...)
		}
		if d := l.cfg.IdleTimeout; d > 0 && !stream {
			c.nc.SetReadDeadline(time.Now().Add(d))
		}
		if c.why.Load() != 0 {
			return Failed // Close may have set a deadline that is overwritten
		}
		n, err := c.nc.Read(buf[len(buf):cap(buf)])
		c.read.Add(uint64(n))
		buf = buf[:len(buf)+n]
		if n > 0 {
			c.active.Store(l.seconds())
		}
		if stream {
			buf = buf[:0]
		}
		for n > 0 && !stream {
			used, step, ok := l.data(s, buf[from:], w)
			if !ok {
				return Failed
			}
			from += used
			if w.Len() > l.cfg.MaxQueued {
				l.slowKicks.Add(1)
				return Failed
			}
			if step != Yield || w.Full() {
				if werr := c.flush(w); werr != nil {
					if errors.Is(werr, os.ErrDeadlineExceeded) {
						l.slowKicks.Add(1)
					}
					return Failed
				}
			}
			switch step {
			case Yield:
				l.yields.Add(1)
				runtime.Gosched()
				continue
			case Wait:
				buf, from = buf[:copy(buf, buf[from:])], 0
				if buf, ok = c.park(s, buf); !ok {
					return Failed
				}
				continue
			case Close:
				return Normal
			case Stream:
				stream = true
				c.oneWay.Store(true)
				c.nc.SetReadDeadline(time.Time{})
				buf, from = buf[:0], 0
			}
			if len(buf)-from > l.cfg.MaxInput {
				return Failed
			}
			break
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return Normal
		case c.why.Load() != 0:
			return Failed
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.idleKicks.Add(1)
			return IdleTimeout
		default:
			return Failed
		}
	}
}

func (c *netConn) flush(w *Writer) error {
	if w.Len() == 0 {
		return nil
	}
	c.wmu.Lock()
	err := c.write(w)
	c.wmu.Unlock()
	w.reset()
	if cap(w.B) > keepReply {
		w.B = nil
	}
	return err
}
