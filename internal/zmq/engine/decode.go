package engine

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// maxCommand bounds a command, of which the longest is a topic.
const maxCommand = 16 << 20

// decode decodes what the buffer holds. After an error, the messages before it
// can be handed over.
func (r *reader) decode() error {
	if r.large.n > 0 {
		if !r.large.complete() {
			return nil
		}
		if err := r.endLarge(); err != nil {
			return err
		}
	}
	switch {
	case r.e.cfg.Raw:
		r.decodeRaw()
		return nil
	case r.e.plain():
		return r.decodePlain()
	}
	return r.decodeFrames()
}

// decodeRaw takes what was read as a message of one frame.
func (r *reader) decodeRaw() {
	if r.filled > 0 {
		r.asm.Frame(0, r.buf[:r.filled], false)
		r.count(0, r.filled, len(r.asm.Enc))
		r.start, r.filled = 0, 0
	}
}

// decodePlain is decode for frames that travel in the encoding of package flow.
// It copies runs of them, not each by itself.
func (r *reader) decodePlain() error {
	buf := r.buf[:r.filled]
	pos, run := r.start, r.start // buf[run:pos] is decoded and not copied
	r.need = 0
	shortest := maxShort
	if limit := r.limits.Frame(); limit >= 0 {
		shortest = int(min(limit, maxShort))
	}
	for {
		if r.parts == 0 {
			end, n := skipShort(buf, pos, run+chunk, shortest)
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
		h, n, err := zmtp.Framing2.ParseHeader(buf[pos:], -1)
		if err == nil && n > 0 {
			err = r.checkHeader(h)
		}
		if err != nil {
			r.keep(buf[run:pos])
			return err
		}
		if n == 0 {
			break
		}
		body := pos + n
		if len(buf)-body < h.Size {
			if h.Size < flow.LargeFrame {
				r.need = n + h.Size
				break
			}
			if h.Command() {
				r.keep(buf[run:pos])
			} else {
				r.keep(buf[run:body])
			}
			r.beginLarge(h, body)
			return nil
		}
		pos = body + h.Size
		if h.Command() {
			r.keep(buf[run : body-n])
			if err := r.e.command(buf[body:pos]); err != nil {
				return err
			}
			run = pos
			continue
		}
		r.count(h.Flags, h.Size, len(r.asm.Enc)+pos-run)
		if pos-run >= chunk && !h.More() {
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

// checkHeader refuses a frame by its header alone.
func (r *reader) checkHeader(h zmtp.Header) error {
	if !h.Command() {
		return r.check(h.Size)
	}
	if h.Size > maxCommand {
		return tooLarge(uint64(h.Size), maxCommand)
	}
	return nil
}

// keep adds encoded frames to those that are not handed over. Only many of them
// get a buffer of full size: few might stay in the queue for long.
func (r *reader) keep(enc []byte) {
	if r.asm.Enc == nil && len(enc) >= chunk/4 {
		r.session.Prepare(&r.asm)
	}
	r.asm.Enc = append(r.asm.Enc, enc...)
}

// maxShort is the largest payload whose size takes one octet.
const maxShort = 255

// skipShort skips whole messages of one frame of at most longest octets, from
// pos to stop or a little beyond, and returns how many. Only their size needs to
// be checked.
func skipShort(buf []byte, pos, stop, longest int) (end, n int) {
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

// decodeFrames is decode for frames that travel in another form than that of
// package flow: encrypted ones, and those of ZMTP 1.0.
func (r *reader) decodeFrames() error {
	r.need = 0
	limit := r.limits.Frame()
	if limit >= 0 && r.e.sealer != nil {
		limit += int64(r.e.sealer.SealedSize(0))
	}
	for r.start < r.filled {
		h, n, err := r.e.framing.ParseHeader(r.buf[r.start:r.filled], limit)
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
			r.beginLarge(h, r.start+n)
			return nil
		}
		if err := r.frame(h, rest[:h.Size], false); err != nil {
			return err
		}
	}
	if r.start == r.filled {
		r.start, r.filled = 0, 0
	}
	return nil
}

// frame takes a whole frame. A body that is owned is not used by anyone else.
func (r *reader) frame(h zmtp.Header, body []byte, owned bool) error {
	switch {
	case r.e.sealer != nil:
		return r.sealed(body, owned)
	case h.Command():
		return r.e.command(body)
	}
	return r.Frame(h.Flags, body, owned)
}

// sealed takes an encrypted frame. It is decrypted to where it belongs: into
// the batch, or into a buffer of the size of the payload. If body is owned, it
// goes back to the pool.
func (r *reader) sealed(body []byte, owned bool) error {
	n := max(len(body)-r.e.sealer.Overhead(), 0)
	if n >= flow.LargeFrame {
		h, p, err := r.e.sealer.OpenInto(flow.GetBuffer(n)[:0], body)
		if owned {
			flow.PutBuffer(body)
		}
		if err != nil {
			return err
		}
		if h.Command() {
			return r.e.command(p)
		}
		return r.Frame(h.Flags, p, true)
	}
	if r.asm.Enc == nil {
		r.asm.Enc = make([]byte, 0, min(len(body)+r.filled-r.start, chunk+flow.LargeFrame))
	}
	at := len(r.asm.Enc)
	r.asm.Enc = flow.AppendHeader(r.asm.Enc, 0, n)
	h, enc, err := r.e.sealer.OpenInto(r.asm.Enc, body)
	if err != nil || h.Command() {
		r.asm.Enc = r.asm.Enc[:at]
		if err == nil {
			err = r.e.command(enc[len(enc)-n:])
		}
		return err
	}
	if err := r.check(n); err != nil {
		return err
	}
	r.asm.Enc = enc
	enc[at] |= h.Flags & flow.More
	r.count(h.Flags, n, len(enc))
	if len(enc) >= chunk && !h.More() {
		r.cut()
	}
	return nil
}
