package flow

import "encoding/binary"

// Cursor reads a batch frame by frame. The frames are views of the batch.
type Cursor struct {
	enc    []byte
	refs   []Ref
	pos    int
	pooled bool
	shared bool
	sum    byte // of what Prefetch read, so that the compiler keeps the reads
}

// NewCursor starts at the first frame of b.
func NewCursor(b Batch) Cursor {
	return Cursor{enc: b.Enc, refs: b.Refs, pooled: b.pooled, shared: b.shared}
}

// Recycle gives the memory of the batch back, if it can be used again. The
// small frames of the batch must not be used afterwards.
func (c *Cursor) Recycle() {
	if c.pooled {
		PutBuffer(c.enc)
	}
	*c = Cursor{}
}

// Short is One that gives up on a frame whose size takes more than one octet.
func (c *Cursor) Short() (p []byte, ok bool) {
	e := c.enc[c.pos:]
	if len(e) == 0 || e[0] != 0 {
		return nil, false
	}
	n := 2 + int(e[1])
	c.pos += n
	return e[2:n:n], true
}

// One returns the next message if there is one, of a single frame.
func (c *Cursor) One() (p []byte, ok bool) {
	if c.pos >= len(c.enc) || c.enc[c.pos]&More != 0 {
		return nil, false
	}
	_, p = c.Next()
	return p, true
}

// More reports whether the next frame is followed by another one of the same
// message. It must not be called when Done.
func (c *Cursor) More() bool { return c.enc[c.pos]&More != 0 }

// Done reports whether every frame was read.
func (c *Cursor) Done() bool { return c.pos >= len(c.enc) }

// Pos is the offset of the next frame in Batch.Enc.
func (c *Cursor) Pos() int { return c.pos }

// Peek returns the payload of the next frame, which stays the next; it must not
// be called when Done.
func (c *Cursor) Peek() []byte {
	if c.enc[c.pos]&Long == 0 {
		at := c.pos + 2
		end := at + int(c.enc[c.pos+1])
		return c.enc[at:end:end]
	}
	d := *c
	_, p := d.Next()
	return p
}

// Next returns the next frame; it must not be called when Done. A payload
// has no spare capacity, so appending to it never touches its neighbour.
func (c *Cursor) Next() (flags byte, p []byte) {
	flags = c.enc[c.pos]
	if flags&Long == 0 {
		n := int(c.enc[c.pos+1])
		at := c.pos + 2
		c.pos = at + n
		return flags, c.enc[at:c.pos:c.pos]
	}
	n := int(binary.BigEndian.Uint64(c.enc[c.pos+1:]))
	at := c.pos + 9
	if len(c.refs) > 0 && c.refs[0].At == at {
		p = c.refs[0].B
		c.refs = c.refs[1:]
		c.pos = at
		return flags, p
	}
	c.pos = at + n
	return flags, c.enc[at:c.pos:c.pos]
}

// Frames returns how many frames are left of the message whose last read frame
// was not the last one.
func (c *Cursor) Frames() int {
	n := 1
	for d := *c; d.More(); n++ {
		d.Next()
	}
	return n
}

// SkipMessage moves past the rest of the message whose last read frame had
// these flags.
func (c *Cursor) SkipMessage(flags byte) {
	for flags&More != 0 {
		flags, _ = c.Next()
	}
}

// Rest is what the cursor has not read, as a batch of its own; msgs tells
// how many messages that is.
func (c *Cursor) Rest(msgs int) Batch {
	b := Batch{Enc: c.enc[c.pos:], Msgs: msgs, shared: c.shared}
	for _, r := range c.refs {
		b.Refs = append(b.Refs, Ref{At: r.At - c.pos, B: r.B, Ours: r.Ours})
		b.Held += len(r.B)
	}
	return b
}
