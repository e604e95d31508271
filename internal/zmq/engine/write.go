package engine

import (
	"net"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// writer empties the outgoing queue of a Stream. Its fields belong to the
// holder of the writer role: the sender that the queue told to wake the
// consumer, or the goroutine that took the role over.
type writer struct {
	e    *Stream
	wire []byte // the batch encrypted, or in the framing of ZMTP 1.0, until it is written
	bufs net.Buffers
	last time.Time // when a batch was taken last

	hangup bool // the user of a STREAM wants the connection closed

	sent sentLog

	rawWrite
}

const (
	// quiet is how long the queue must have been idle for a sender to write by
	// itself, and for how long no sender may have done so for another peer of the
	// socket. Sooner, more messages are likely to follow, and one write should
	// carry them all. It does not apply if the peer sent something since.
	quiet = 50 * time.Microsecond
	// maxInline bounds the octets that a sender writes by itself.
	maxInline = 64 << 10
)

// epoch is what Config.LastWrite counts from.
var epoch = time.Now().Add(-time.Hour)

// Kick starts sending. The caller has the writer role.
func (e *Stream) Kick() {
	if e.raw == nil || !e.heard.Swap(false) && !e.quiet() {
		e.KickLater()
		return
	}
	if e.writers.enter() && !e.w.writeNow() {
		e.writers.leave()
	}
}

func (e *Stream) quiet() bool {
	return time.Since(e.w.last) >= quiet && time.Since(epoch)-time.Duration(e.cfg.LastWrite.Load()) >= quiet
}

// KickLater starts a goroutine that sends. The caller has the writer role.
func (e *Stream) KickLater() {
	if !e.writers.enter() {
		return
	}
	go func() {
		defer e.writers.leave()
		e.w.run()
	}()
}

// writeNow writes a batch without blocking. It reports whether it passed the
// role, and its place among the writers, on to a goroutine.
func (w *writer) writeNow() (passed bool) {
	b, ok := take(w.e.session, w.e.out)
	if !ok {
		return false
	}
	n := 0
	if len(b.Refs) == 0 && len(b.Enc) <= maxInline {
		out := w.encode(b)
		var err error
		n, err = w.tryWrite(w.e.raw, out)
		w.last = time.Now()
		w.e.cfg.LastWrite.Store(int64(w.last.Sub(epoch)))
		if err != nil {
			w.failed(b, n, err)
			return false
		}
		if n == len(out) {
			if !w.done(b, n) {
				return false
			}
			if b, ok = take(w.e.session, w.e.out); !ok {
				return false
			}
			n = 0
		}
	}
	go func() {
		defer w.e.writers.leave()
		if w.write(b, n) {
			w.run()
		}
	}()
	return true
}

// run writes until the queue is empty.
func (w *writer) run() {
	for {
		w.last = time.Now()
		b, ok := take(w.e.session, w.e.out)
		if !ok || !w.write(b, 0) {
			return
		}
	}
}

// done notes that a batch was written, as n octets, and gives its memory back. It
// reports false when the user of a STREAM closed the connection.
func (w *writer) done(b flow.Batch, n int) bool {
	w.sent.add(b.Msgs, n)
	recycle(b)
	flow.PutBuffer(w.wire)
	w.wire = nil
	if w.hangup {
		w.e.Close(ErrClosed)
		return false
	}
	return true
}

// encode returns the wire form of a batch without references.
func (w *writer) encode(b flow.Batch) []byte {
	if w.e.plain() {
		return b.Enc
	}
	size := 0
	for c := flow.NewCursor(b); !c.Done(); {
		flags, p := c.Next()
		size += w.e.frameSize(flags, len(p))
	}
	w.wire = flow.GetBuffer(max(size, 1))[:0]
	for c := flow.NewCursor(b); !c.Done(); {
		flags, p := c.Next()
		if w.e.cfg.Raw && len(p) == 0 {
			w.hangup = true
			break
		}
		w.wire = w.e.appendFrame(w.wire, flags, p)
	}
	return w.wire
}

// appendFrame appends the wire form of one frame.
func (e *Stream) appendFrame(dst []byte, flags byte, p []byte) []byte {
	switch {
	case e.cfg.Raw:
		return append(dst, p...)
	case e.sealer != nil:
		return e.sealer.Seal(dst, flags&(flow.More|flow.Command), p)
	case e.framing == zmtp.Framing1 && flags&flow.Command != 0:
		return dst
	}
	return e.framing.Append(dst, flags, p)
}

// frameSize returns the number of octets that appendFrame appends.
func (e *Stream) frameSize(flags byte, n int) int {
	switch {
	case e.cfg.Raw:
		return n
	case e.sealer != nil:
		return e.sealer.SealedSize(n)
	case e.framing == zmtp.Framing1 && flags&flow.Command != 0:
		return 0
	}
	return e.framing.HeaderSize(n) + n
}

// write writes what is left of b after n octets. It reports false, and closes
// the connection, when it cannot.
func (w *writer) write(b flow.Batch, n int) bool {
	var err error
	if w.e.plain() && len(b.Refs) > 0 {
		n, err = w.writev(b)
	} else {
		var out []byte
		if n > 0 && !w.e.plain() {
			out = w.wire // encoded by writeNow; encrypting twice would use up a nonce
		} else {
			out = w.encode(b)
		}
		var k int
		k, err = w.writePieces(out[n:])
		n += k
	}
	if err != nil {
		w.failed(b, n, err)
		return false
	}
	return w.done(b, n)
}

// writev writes a batch and its references.
func (w *writer) writev(b flow.Batch) (int, error) {
	w.bufs = w.bufs[:0]
	at := 0
	for _, r := range b.Refs {
		w.bufs = append(w.bufs, b.Enc[at:r.At], r.B)
		at = r.At
	}
	if at < len(b.Enc) {
		w.bufs = append(w.bufs, b.Enc[at:])
	}
	defer clear(w.bufs)
	if w.e.cfg.SendBuffer <= 0 {
		v := w.bufs
		n, err := v.WriteTo(w.e.conn)
		return int(n), err
	}
	n := 0
	for _, b := range w.bufs {
		k, err := w.writePieces(b)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// writePieces writes b, with a small SO_SNDBUF in pieces of that size. One write
// of more would fill the buffer and then wait for a delayed acknowledgement each
// time: 8 KiB messages through a buffer of 4 KiB were 300 a second instead of
// 28,000.
func (w *writer) writePieces(b []byte) (n int, err error) {
	piece := len(b)
	if s := w.e.cfg.SendBuffer; s > 0 {
		piece = s
	}
	for n < len(b) && err == nil {
		var k int
		k, err = w.e.conn.Write(b[n:min(len(b), n+piece)])
		n += k
	}
	return n, err
}

// failed closes the connection and puts back the messages of b of which the
// last octet was not written: n octets were.
func (w *writer) failed(b flow.Batch, n int, err error) {
	w.e.Close(err)
	c := flow.NewCursor(b)
	sent, msgs := 0, b.Msgs
	whole := c
	for !c.Done() {
		flags, p := c.Next()
		sent += w.e.frameSize(flags, len(p))
		if sent > n {
			break
		}
		if flags&(flow.More|flow.Command) == 0 {
			msgs--
			whole = c
		}
	}
	w.sent.add(b.Msgs-msgs, n)
	if msgs > 0 {
		w.e.session.Unsent(whole.Rest(msgs))
	}
}
