package engine

import (
	"lintel.dev/internal/zmq/flow"
	"lintel.dev/internal/zmq/zmtp"
)

// maxTrust is how many octets are allocated for a frame because its header says
// so. Beyond that, a peer gets growth times as much as it has sent of the frame.
//
// A frame of 512 MiB needs buffers of 585 MiB in all with a growth of 8, and of
// 1 GiB with a growth of 2. Pages of a new buffer take no memory before they
// are written. Budget counts what has arrived, not the buffer: a peer with a small
// part of a large frame is not closed before one with more.
const (
	maxTrust = 256 << 10
	growth   = 8
)

// largeFrame is a large frame of which a part has arrived. It is read into
// memory of its own.
type largeFrame struct {
	p      []byte
	filled int // octets of p that have arrived
	n      int // octets of the frame; 0: there is none
	h      zmtp.Header
}

func (f *largeFrame) complete() bool { return f.filled == f.n }

// beginLarge begins to read a frame into memory of its own. The part that has
// arrived is all that buf holds from at on.
func (r *reader) beginLarge(h zmtp.Header, at int) {
	r.large = largeFrame{n: h.Size, h: h}
	r.start = at
}

// readLarge reads more of a large frame, and what follows it. It allocates only
// now: the receiver of the last large frame may have released its memory in the
// meantime.
func (r *reader) readLarge() error {
	f := &r.large
	switch {
	case f.p == nil:
		size := f.n
		if size > maxTrust && uint64(size) > r.total {
			size = int(max(maxTrust, r.total))
		}
		f.p = flow.GetBuffer(size)
		f.filled = copy(f.p, r.buf[r.start:r.filled])
		r.start, r.filled = 0, 0
	case f.filled == len(f.p):
		p := flow.GetBuffer(grown(f.filled, f.n))
		copy(p, f.p)
		flow.PutBuffer(f.p)
		f.p = p
	}
	n, err := r.readInto(f.p[f.filled:], len(f.p) == f.n)
	if err != nil {
		return err
	}
	r.got(n)
	if beyond := n - (len(f.p) - f.filled); beyond > 0 {
		r.filled, n = beyond, n-beyond // the next frames have begun
	}
	f.filled += n
	r.partial = f.filled
	return nil
}

// grown returns the size of the next buffer of a frame of n octets of which
// filled have arrived: n, or the largest n/growth^k that is at most growth times
// filled. So the last copy is one of n/growth octets.
func grown(filled, n int) int {
	for (n-1)/growth >= filled {
		n = (n-1)/growth + 1
	}
	return n
}

// readInto reads into p, a part of a large frame. If p is the last of it, and
// one call can do both, it reads what follows into the buffer. It returns the
// sum.
func (r *reader) readInto(p []byte, last bool) (int, error) {
	if r.e.raw != nil {
		return r.readRaw(p, last)
	}
	n, err := r.e.conn.Read(p)
	if n > 0 {
		err = nil
	}
	return n, err
}

// endLarge takes a large frame that has arrived completely.
func (r *reader) endLarge() error {
	p, h := r.large.p, r.large.h
	r.large, r.partial = largeFrame{}, 0
	if !r.e.plain() || h.Command() {
		return r.frame(h, p, true)
	}
	// Its header is in asm.Enc already.
	r.asm.Refs = append(r.asm.Refs, flow.Ref{At: len(r.asm.Enc), B: p})
	r.asm.Held += len(p)
	r.count(h.Flags, len(p), len(r.asm.Enc))
	return nil
}
