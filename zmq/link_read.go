package zmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

const (
	patience = 16 // short reads before the buffer shrinks

	minRead = 512      // buffer of a connection where nothing happens
	maxRead = 64 << 10 // of one under load
	// smallRead is maxRead when the receive high-water mark is so low that
	// reading ahead would undo it.
	smallRead = 8 << 10
	smallHWM  = 100
	// maxTrust is what a frame of unknown worth may allocate at once; beyond,
	// a peer gets as much as it has sent already.
	maxTrust = 256 << 10
	// chunk is how many bytes small messages share, or a bit more: with one more
	// message that is no large frame they fit into a buffer of flow.BatchSize.
	chunk = flow.BatchSize - flow.LargeFrame
	// maxCommand bounds a command, which is a topic at its longest.
	maxCommand = 16 << 20
	// maxPongs bounds the answers that wait for a peer that does not read.
	maxPongs = 4 << 10
)

// reader takes the frames of a connection apart and hands them over, all
// that one read brought at once.
type reader struct {
	l      *link
	buf    []byte // buf[start:filled] is read and not decoded
	start  int
	filled int
	total  uint64 // bytes received
	limit  int    // of buf
	need   int    // bytes of the frame that is only partly there
	short  int    // reads in a row that brought little
	block  bool   // buf is a pooled block
	big    bigFrame

	// What onReadable, which reads from the descriptor, needs and finds.
	into       []byte // the rest of a large frame, to be filled before buf
	beyond     bool   // what follows it is to be read too
	noWait     bool
	n          int
	err        error
	onReadable func(fd uintptr) bool

	asm   flow.Batch // frames decoded and not handed over
	whole int        // bytes of asm.Enc that are whole messages
	held  int        // references of those
	size  int64      // of the message under way
	parts int

	ready []flow.Batch
}

// bigFrame is a large frame of which a part has arrived, which goes straight
// into memory of its own.
type bigFrame struct {
	under bool // one is under way
	p     []byte
	k, n  int // bytes in p, bytes of the frame
	h     zmtp.Header
}

func newReader(l *link, rest []byte) *reader {
	r := &reader{l: l, buf: rest, filled: len(rest), limit: maxRead}
	if hwm := l.ep.o.RecvHWM; l.stream || hwm > 0 && hwm <= smallHWM {
		r.limit = smallRead
	}
	return r
}

// run reads until the link ends. A receiver does it in its place at times:
// see lone.
func (r *reader) run() error {
	defer r.release()
	for {
		if err := r.decode(); err != nil {
			_, _, _ = r.handOver() // what was whole before it
			return err
		}
		if err := r.deliver(); err != nil {
			return err
		}
		err := r.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = r.lend()
		}
		if err != nil {
			return err
		}
	}
}

// read waits for bytes and reads what there is. Where it can, it holds no
// buffer while it waits.
func (r *reader) read() error {
	if r.big.under {
		return r.readBig()
	}
	if r.l.raw != nil {
		n, err := r.readBlock()
		if err != nil {
			return err
		}
		r.filled += n
		r.got(n)
		return nil
	}
	left := r.filled - r.start
	size := len(r.buf)
	switch {
	case size == 0:
		size = minRead
	case r.filled == size && size < r.limit:
		size = min(size*8, r.limit)
	case r.filled < size/16 && size > minRead:
		if r.short++; r.short > patience {
			size = minRead
		}
	default:
		r.short = 0
	}
	r.resize(max(size, left+minRead, r.need))
	n, err := r.l.conn.Read(r.buf[r.filled:])
	if n == 0 && err != nil {
		return err
	}
	r.filled += n
	r.got(n)
	return nil
}

// resize gives the buffer another size and moves what is in it to the front.
func (r *reader) resize(size int) {
	left := r.filled - r.start
	if size != len(r.buf) {
		buf := make([]byte, size)
		copy(buf, r.buf[r.start:r.filled])
		r.buf = buf
	} else if left > 0 && r.start > 0 {
		copy(r.buf, r.buf[r.start:r.filled])
	}
	r.start, r.filled = 0, left
}

func (r *reader) got(n int) {
	r.total += uint64(n)
	if r.l.beat.on.Load() {
		r.l.beat.alive()
	}
}

// decode takes apart what the buffer holds. Whole messages before an error can
// be handed over.
func (r *reader) decode() error {
	if r.big.under {
		if r.big.k < r.big.n {
			return nil
		}
		if err := r.endBig(); err != nil {
			return err
		}
	}
	if r.l.stream {
		if r.filled > 0 {
			r.asm.Frame(0, r.buf[:r.filled], false)
			r.count(0, r.filled, len(r.asm.Enc))
			r.start, r.filled = 0, 0
		}
		return nil
	}
	if !r.l.plain() {
		return r.decodeFrames()
	}
	buf := r.buf[:r.filled]
	pos, run := r.start, r.start
	r.need = 0
	longest := 255
	if limit := r.l.ep.o.maxFrame(); limit >= 0 {
		longest = int(min(limit, 255))
	}
	for len(buf)-pos >= 2 {
		if r.parts == 0 {
			end, n := shortMessages(buf, pos, run+chunk, longest)
			if n > 0 {
				pos = end
				r.asm.Msgs += n
				r.whole, r.held = len(r.asm.Enc)+pos-run, len(r.asm.Refs)
				if pos-run >= chunk {
					r.keep(buf[run:pos])
					run = pos
					r.cut()
				}
				continue
			}
		}
		flags := buf[pos]
		n, body := int(buf[pos+1]), pos+2
		if flags&flow.Long != 0 {
			if len(buf)-pos < 9 {
				break
			}
			size := binary.BigEndian.Uint64(buf[pos+1:])
			if size > 1<<62 {
				r.keep(buf[run:pos])
				return tooLarge(size, r.l.ep.o.maxFrame())
			}
			n, body = int(size), pos+9
		}
		command := flags&flow.Command != 0
		if !command {
			if err := r.check(flags, n); err != nil {
				r.keep(buf[run:pos])
				return err
			}
		} else if n > maxCommand {
			r.keep(buf[run:pos])
			return tooLarge(uint64(n), maxCommand)
		}
		if len(buf)-body < n {
			if n < flow.LargeFrame {
				r.need = body - pos + n
				break
			}
			if !command {
				r.keep(buf[run:body])
			} else {
				r.keep(buf[run:pos])
			}
			r.beginBig(zmtp.Header{Flags: flags, Size: n}, body)
			return nil
		}
		if command {
			r.keep(buf[run:pos])
			if err := r.l.command(buf[body : body+n]); err != nil {
				return err
			}
			pos = body + n
			run = pos
			continue
		}
		pos = body + n
		r.count(flags, n, len(r.asm.Enc)+pos-run)
		if pos-run >= chunk && flags&flow.More == 0 {
			r.keep(buf[run:pos])
			run = pos
			r.cut()
		}
	}
	r.keep(buf[run:pos])
	r.start = pos
	if pos == r.filled {
		r.start, r.filled = 0, 0
	}
	return nil
}

// keep adds encoded frames to those that are not handed over. A few do not get
// a buffer that has room for many: it might be long until they are received.
func (r *reader) keep(enc []byte) {
	if r.asm.Enc == nil && len(enc) >= chunk/4 {
		r.l.p.in.Prepare(&r.asm)
	}
	r.asm.Enc = append(r.asm.Enc, enc...)
}

// shortMessages skips whole messages of one frame of up to longest bytes, from
// pos to stop or a bit beyond. They are most of what small messages are, and
// have nothing to be checked but their size.
func shortMessages(buf []byte, pos, stop, longest int) (end, n int) {
	for pos < stop && pos+2 <= len(buf) && buf[pos] == 0 {
		size := int(buf[pos+1])
		if size > longest || pos+2+size > len(buf) {
			break
		}
		pos += 2 + size
		n++
	}
	return pos, n
}

// decodeFrames is decode for frames that do not travel as we keep them:
// encrypted ones, and those of ZMTP 1.0.
func (r *reader) decodeFrames() error {
	r.need = 0
	limit := r.l.ep.o.maxFrame()
	if limit >= 0 && r.l.sealer != nil {
		limit += int64(r.l.sealer.SealedSize(0))
	}
	for r.start < r.filled {
		h, n, err := r.l.framing.ParseHeader(r.buf[r.start:r.filled], limit)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		rest := r.buf[r.start+n : r.filled]
		switch {
		case len(rest) >= h.Size:
			r.start += n + h.Size
		case h.Size < flow.LargeFrame:
			r.need = n + h.Size
			return nil
		default:
			r.beginBig(h, r.start+n)
			return nil
		}
		if r.l.sealer != nil {
			h, err = r.sealed(rest[:h.Size], false)
		} else {
			err = r.opened(h, rest[:h.Size], false)
		}
		if err != nil {
			return err
		}
		if len(r.asm.Enc) >= chunk && !h.More() && !h.Command() {
			r.cut()
		}
	}
	if r.start == r.filled {
		r.start, r.filled = 0, 0
	}
	return nil
}

// opened takes a frame as it is; own tells that body is nobody else's.
func (r *reader) opened(h zmtp.Header, body []byte, own bool) error {
	if h.Command() {
		return r.l.command(body)
	}
	if err := r.check(h.Flags, len(body)); err != nil {
		return err
	}
	r.asm.Frame(h.Flags&flow.More, body, own)
	r.count(h.Flags, len(body), len(r.asm.Enc))
	return nil
}

// sealed takes an encrypted frame; own tells that its body came from large. It
// is decrypted to where it belongs: a batch, or a buffer of the payload's own
// size, so that giving it back makes the next one cheap.
func (r *reader) sealed(body []byte, own bool) (zmtp.Header, error) {
	n := max(len(body)-r.l.sealer.Overhead(), 0)
	if n >= flow.LargeFrame {
		h, p, err := r.l.sealer.OpenInto(flow.GetBuffer(n)[:0], body)
		if own {
			flow.PutBuffer(body)
		}
		if err != nil {
			return h, err
		}
		return h, r.opened(h, p, true)
	}
	if r.asm.Enc == nil {
		r.asm.Enc = make([]byte, 0, min(len(body)+r.filled-r.start, chunk+flow.LargeFrame))
	}
	at := len(r.asm.Enc)
	r.asm.Enc = flow.AppendHeader(r.asm.Enc, 0, n)
	h, enc, err := r.l.sealer.OpenInto(r.asm.Enc, body)
	if err != nil || h.Command() {
		r.asm.Enc = r.asm.Enc[:at]
		if err == nil {
			err = r.l.command(enc[len(enc)-n:])
		}
		return h, err
	}
	if err := r.check(h.Flags, n); err != nil {
		return h, err
	}
	r.asm.Enc = enc
	enc[at] |= h.Flags & flow.More
	r.count(h.Flags, n, len(enc))
	return h, nil
}

// check refuses a frame that makes its message too large.
func (r *reader) check(flags byte, n int) error {
	o := &r.l.ep.o
	if o.MaxFrame >= 0 && int64(n) > o.MaxFrame {
		return tooLarge(uint64(n), o.MaxFrame)
	}
	if o.MaxMessage >= 0 && (int64(n) > o.MaxMessage || r.size+int64(n) > o.MaxMessage) {
		return tooLarge(uint64(r.size)+uint64(n), o.MaxMessage)
	}
	if o.MaxFrames > 0 && r.parts >= o.MaxFrames {
		return &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: fmt.Sprintf("message of more than %d frames", o.MaxFrames)}
	}
	return nil
}

// count adds a frame to the message under way, which is whole if no more
// follow; end is where the frame will end in asm.Enc.
func (r *reader) count(flags byte, n, end int) {
	if flags&flow.More != 0 {
		r.size += int64(n)
		r.parts++
		return
	}
	r.size, r.parts = 0, 0
	r.asm.Msgs++
	r.whole, r.held = end, len(r.asm.Refs)
}

// beginBig goes on reading a frame straight into memory of its own. What is
// there of it is all that the buffer holds from at.
func (r *reader) beginBig(h zmtp.Header, at int) {
	r.big = bigFrame{under: true, n: h.Size, h: h}
	r.start = at
}

// readBig reads more of a large frame, and what comes after it. The memory is
// taken only now: by then the receiver of the last large frame may have
// released its.
func (r *reader) readBig() error {
	g := &r.big
	switch {
	case g.p == nil:
		size := g.n
		if size > maxTrust && uint64(size) > r.total {
			size = int(max(maxTrust, r.total))
		}
		g.p = flow.GetBuffer(size)
		g.k = copy(g.p, r.buf[r.start:r.filled])
		r.start, r.filled = 0, 0
	case g.k == len(g.p):
		p := flow.GetBuffer(min(g.n, 2*len(g.p)))
		copy(p, g.p)
		flow.PutBuffer(g.p)
		g.p = p
	}
	m, err := r.readLarge(g.p[g.k:], len(g.p) == g.n)
	if err != nil {
		return err
	}
	r.got(m)
	if over := m - (len(g.p) - g.k); over > 0 {
		r.filled, m = over, m-over // the next frames have begun
	}
	g.k += m
	return nil
}

// endBig takes a large frame that is all there.
func (r *reader) endBig() error {
	p, h := r.big.p, r.big.h
	r.big = bigFrame{}
	switch {
	case r.l.sealer != nil:
		_, err := r.sealed(p, true)
		return err
	case !r.l.plain():
		return r.opened(h, p, true)
	case h.Command():
		return r.l.command(p)
	}
	// Its header is in asm.Enc already.
	r.asm.Refs = append(r.asm.Refs, flow.Ref{At: len(r.asm.Enc), B: p})
	r.asm.Held += len(p)
	r.count(h.Flags, len(p), len(r.asm.Enc))
	return nil
}

// cut moves the whole messages of asm to ready.
func (r *reader) cut() {
	b := r.asm
	b.Enc, b.Refs, b.Held = b.Enc[:r.whole], b.Refs[:r.held:r.held], 0
	for _, ref := range b.Refs {
		b.Held += len(ref.B)
	}
	var rest flow.Batch
	if r.whole < len(r.asm.Enc) {
		rest.Enc = append(rest.Enc, r.asm.Enc[r.whole:]...)
		for _, ref := range r.asm.Refs[r.held:] {
			rest.Refs = append(rest.Refs, flow.Ref{At: ref.At - r.whole, B: ref.B})
			rest.Held += len(ref.B)
		}
	}
	r.asm, r.whole, r.held = rest, 0, 0
	r.ready = append(r.ready, b)
}

// handOver hands over what is whole. some tells that there was something,
// full that the receiver has enough.
func (r *reader) handOver() (some, full bool, err error) {
	if r.asm.Msgs > 0 {
		r.cut()
	}
	if len(r.ready) == 0 {
		return false, false, nil
	}
	p := r.l.p
	r.l.heard.Store(true)
	if x, ok := p.s.pat.(publisherSide); ok {
		for _, b := range r.ready {
			upstream(x, p, b)
		}
		r.ready = r.ready[:0]
		return true, false, nil
	}
	if p.s.typ == zmtp.REQ {
		if ready, err := replies(r.ready); err != nil {
			if res, _ := p.in.Push(ready...); res == flow.Wake {
				p.s.readable(p)
			}
			return true, false, err
		}
	}
	res, full := p.in.Push(r.ready...)
	clear(r.ready)
	r.ready = r.ready[:0]
	if res == flow.Wake {
		p.s.readable(p)
	}
	return true, full, nil
}

// deliver hands over what is whole, and waits while the receiver has enough.
func (r *reader) deliver() error {
	if _, full, err := r.handOver(); err != nil || !full {
		return err
	}
	p := r.l.p
	r.l.beat.paused.Store(true)
	defer func() {
		// The peer could not make itself heard: it has all its time again.
		r.l.beat.alive()
		r.l.beat.paused.Store(false)
	}()
	for !p.in.Ready() {
		select {
		case <-r.l.room:
		case <-r.l.dead:
			return errPipeEnded
		}
	}
	return nil
}

// upstream hands the messages of b to a publisher one by one.
func upstream(x publisherSide, p *pipe, b flow.Batch) {
	var m Msg
	for c := flow.NewCursor(b); !c.Done(); {
		flags, frame := c.Next()
		m = append(m[:0], frame)
		for flags&flow.More != 0 {
			flags, frame = c.Next()
			m = append(m, frame)
		}
		x.upstream(p, m)
	}
}

// command handles a command of an established connection. Unknown ones are
// left to the future.
func (l *link) command(body []byte) error {
	c, data, err := zmtp.ParseCommand(body)
	if err != nil {
		return err
	}
	switch c {
	case zmtp.CommandPing:
		ttl, echo, err := zmtp.ParsePing(data)
		if err != nil {
			return err
		}
		l.beat.pinged(l, ttl)
		if l.p.out.ControlLen() < maxPongs {
			l.control(flow.Command, zmtp.AppendPong(nil, echo))
		}
	case zmtp.CommandSubscribe, zmtp.CommandCancel, zmtp.CommandJoin, zmtp.CommandLeave:
		groups := c == zmtp.CommandJoin || c == zmtp.CommandLeave
		if x, ok := l.s.pat.(publisherSide); ok && groups == (l.s.typ == zmtp.RADIO) {
			x.subscription(l.p, c == zmtp.CommandSubscribe || c == zmtp.CommandJoin, data)
		}
	}
	return nil
}

func tooLarge(n uint64, limit int64) error {
	return &zmtp.Error{Code: zmtp.CodeMalformedMessage, Text: fmt.Sprintf("frame or message of %d bytes, expected at most %d", n, limit)}
}
