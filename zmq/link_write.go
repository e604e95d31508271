package zmq

import (
	"net"
	"time"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// writer empties the outgoing queue of a link. Its fields belong to whoever
// holds the role: the sender that the queue told to wake the consumer, or the
// goroutine it left the work to.
type writer struct {
	l    *link
	wire []byte // the batch encrypted, or in the framing of ZMTP 1.0, until it is written
	bufs net.Buffers
	last time.Time // when the queue was looked at last

	hangup bool // the user of a STREAM wants the connection closed

	// Argument and results of attempt, which tries one write without waiting.
	try     []byte
	n       int
	err     error
	attempt func(fd uintptr) bool
}

const (
	// quiet is how long the queue must have been left alone for a sender to
	// write itself, and for how long no sender may have done so for another peer
	// of the socket, unless the peer sent something since: sooner, more messages
	// are likely to follow, and one write should carry them all.
	quiet = 50 * time.Microsecond
	// maxInline bounds what a sender writes itself.
	maxInline = 64 << 10
)

// kick is called by a sender that found the writer idle: it has the role.
func (l *link) kick() {
	if l.raw == nil || !l.heard.Swap(false) && !l.quiet() {
		l.spawn()
		return
	}
	if !l.enter() {
		return
	}
	if !l.w.inline() {
		l.leave()
	}
}

func (l *link) quiet() bool {
	return time.Since(l.w.last) >= quiet && time.Since(epoch)-time.Duration(l.s.wrote.Load()) >= quiet
}

// epoch is what core.wrote counts from.
var epoch = time.Now().Add(-time.Hour)

// inline writes a batch without waiting. It reports whether it passed the
// role, and its place among the writers, on to a goroutine.
func (w *writer) inline() (passed bool) {
	b, ok := w.take()
	if !ok {
		return false
	}
	n := 0
	if len(b.Refs) == 0 && len(b.Enc) <= maxInline {
		out := w.encode(b)
		var err error
		n, err = w.tryWrite(out)
		w.last = time.Now()
		w.l.s.wrote.Store(int64(w.last.Sub(epoch)))
		if err != nil {
			w.failed(b, n, err)
			return false
		}
		if n == len(out) {
			if !w.done(b) {
				return false
			}
			if b, ok = w.take(); !ok {
				return false
			}
			n = 0
		}
	}
	go func() {
		defer w.l.leave()
		if w.write(b, n) {
			w.run()
		}
	}()
	return true
}

// spawn leaves the role to a goroutine.
func (l *link) spawn() {
	if !l.enter() {
		return
	}
	go func() {
		defer l.leave()
		l.w.run()
	}()
}

// run writes until the queue is empty.
func (w *writer) run() {
	for {
		w.last = time.Now()
		b, ok := w.take()
		if !ok || !w.write(b, 0) {
			return
		}
	}
}

// take gets the next batch; without one the role is given up.
func (w *writer) take() (flow.Batch, bool) {
	p := w.l.p
	b, ok, reopened := p.out.TakeAll()
	if reopened {
		p.s.writable(p)
	}
	if !ok && p.out.Finished() {
		p.setFlushed()
	}
	return b, ok
}

// done gives the memory of a written batch back. It reports false when the
// link is over by our own wish.
func (w *writer) done(b flow.Batch) bool {
	b.Written()
	flow.PutBuffer(w.wire)
	w.wire = nil
	for _, r := range b.Refs {
		if r.Ours {
			flow.PutBuffer(r.B)
		}
	}
	if w.hangup {
		w.l.close(errPipeEnded)
		return false
	}
	return true
}

// encode is the wire form of a batch without references.
func (w *writer) encode(b flow.Batch) []byte {
	if w.l.plain() {
		return b.Enc
	}
	size := 0
	for c := flow.NewCursor(b); !c.Done(); {
		flags, p := c.Next()
		size += w.l.frameSize(flags, len(p))
	}
	w.wire = flow.GetBuffer(max(size, 1))[:0]
	for c := flow.NewCursor(b); !c.Done(); {
		flags, p := c.Next()
		if w.l.stream && len(p) == 0 {
			w.hangup = true
			break
		}
		w.wire = w.l.appendFrame(w.wire, flags, p)
	}
	return w.wire
}

// plain tells whether batches travel as they are.
func (l *link) plain() bool { return l.sealer == nil && l.framing == zmtp.Framing2 && !l.stream }

// appendFrame appends the wire form of one frame.
func (l *link) appendFrame(dst []byte, flags byte, p []byte) []byte {
	if l.stream {
		return append(dst, p...)
	}
	if l.sealer != nil {
		return l.sealer.Seal(dst, flags&(flow.More|flow.Command), p)
	}
	if l.framing == zmtp.Framing1 && flags&flow.Command != 0 {
		return dst
	}
	return l.framing.Append(dst, flags, p)
}

// frameSize is the number of bytes that appendFrame appends.
func (l *link) frameSize(flags byte, n int) int {
	if l.stream {
		return n
	}
	if l.sealer != nil {
		return l.sealer.SealedSize(n)
	}
	if l.framing == zmtp.Framing1 && flags&flow.Command != 0 {
		return 0
	}
	return l.framing.HeaderSize(n) + n
}

// write writes what is left of b after n bytes. It reports false, having
// ended the link, when it cannot.
func (w *writer) write(b flow.Batch, n int) bool {
	var err error
	if w.l.plain() && len(b.Refs) > 0 {
		n, err = w.writev(b)
	} else {
		var out []byte
		if n > 0 && !w.l.plain() {
			out = w.wire // encrypted once, by kick
		} else {
			out = w.encode(b)
		}
		var k int
		k, err = w.l.conn.Write(out[n:])
		n += k
	}
	if err != nil {
		w.failed(b, n, err)
		return false
	}
	return w.done(b)
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
	v := w.bufs
	n, err := v.WriteTo(w.l.conn)
	clear(w.bufs)
	return int(n), err
}

// failed ends the link and puts back the messages of b of which the peer has
// not got the last byte: n were written.
func (w *writer) failed(b flow.Batch, n int, err error) {
	w.l.close(err)
	c := flow.NewCursor(b)
	sent, msgs := 0, b.Msgs
	whole := c
	for !c.Done() {
		flags, p := c.Next()
		sent += w.l.frameSize(flags, len(p))
		if sent > n {
			break
		}
		if flags&(flow.More|flow.Command) == 0 {
			msgs--
			whole = c
		}
	}
	if msgs > 0 {
		w.l.p.out.Unread(whole.Rest(msgs))
		w.l.p.dropIfOver()
	}
}
