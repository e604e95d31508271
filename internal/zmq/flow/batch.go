// Package flow moves messages between a socket and its peers: queues with
// high-water marks, the rota behind fair queueing and round robin, and the
// waiters that park on both.
//
// Messages travel as batches of bytes in the framing of ZMTP 2.0 and later
// (a flags octet, a size of one or eight octets, the payload), whatever the
// transport. A batch goes to the network as it is, or is parsed in place by a
// receiver, so nothing is allocated for one message.
package flow

import "encoding/binary"

// The flags octet of a frame (ZMTP 3.1, section "Framing").
const (
	More    = 1 // another frame of the same message follows
	Long    = 2 // the size takes eight octets
	Command = 4 // a command, not part of a message
)

// LargeFrame is the payload size from which a frame is kept by reference
// instead of being copied into a batch.
const LargeFrame = 8 << 10

// Ref is a payload kept beside the encoded bytes of its batch.
type Ref struct {
	At   int    // where it belongs in Batch.Enc: right after its header
	B    []byte // never modified while the batch lives
	Ours bool   // a copy nobody else knows: PutBuffer it once it is written
}

// Batch is a run of whole messages, encoded one after the other.
type Batch struct {
	Enc  []byte
	Refs []Ref
	Msgs int // messages in it; commands count for none
	Held int // bytes of Refs

	pooled bool     // Enc is a buffer of this package, nobody else's
	shared bool     // Enc is a part of a log
	seg    *segment // which ends with Enc, unless a part of it was taken off
}

// Empty reports whether nothing was appended.
func (b *Batch) Empty() bool { return len(b.Enc) == 0 }

// Size is the number of bytes the batch takes on the wire.
func (b *Batch) Size() int { return len(b.Enc) + b.Held }

// AppendHeader encodes the header of a frame of n bytes.
func AppendHeader(dst []byte, flags byte, n int) []byte {
	if n < 256 {
		return append(dst, flags, byte(n))
	}
	dst = append(dst, flags|Long)
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}

// AppendFrame encodes one frame whole.
func AppendFrame(dst []byte, flags byte, p []byte) []byte {
	return append(AppendHeader(dst, flags, len(p)), p...)
}

// Frame appends one frame. A payload of at least LargeFrame bytes is kept by
// reference when owned, else copied once into memory of its own.
func (b *Batch) Frame(flags byte, p []byte, owned bool) {
	if len(p) < LargeFrame {
		if len(p) < 256 {
			b.Enc = append(append(b.Enc, flags, byte(len(p))), p...)
			return
		}
		b.Enc = AppendFrame(b.Enc, flags, p)
		return
	}
	if !owned {
		p = append(GetBuffer(len(p))[:0], p...)
	}
	b.Enc = AppendHeader(b.Enc, flags, len(p))
	b.Refs = append(b.Refs, Ref{At: len(b.Enc), B: p, Ours: !owned})
	b.Held += len(p)
}

// Encoded appends bytes that are whole messages already. The refs stay
// shared with whoever else has them.
func (b *Batch) Encoded(enc []byte, refs []Ref, msgs int) {
	at := len(b.Enc)
	b.Enc = append(b.Enc, enc...)
	for _, r := range refs {
		b.Refs = append(b.Refs, Ref{At: at + r.At, B: unpooled(r.B)})
		b.Held += len(r.B)
	}
	b.Msgs += msgs
}

// Cursor reads a batch frame by frame. The frames are views of the batch.
type Cursor struct {
	enc    []byte
	refs   []Ref
	pos    int
	pooled bool
	shared bool
	heat   byte // of all that Heat read, which is not done for nothing then
}

// NewCursor starts at the first frame of b.
func NewCursor(b Batch) Cursor {
	return Cursor{enc: b.Enc, refs: b.Refs, pooled: b.pooled, shared: b.shared}
}

// heat takes the cache lines after t from the processor that read them last. One
// by one they would come while a lock is waited for: that one waits for all
// stores before it. In a row they come together. It returns how far it went.
func heat(t []byte) int {
	at := len(t)
	t = t[:min(at+heated, cap(t))]
	for i := at; i < len(t); i += cacheLine {
		t[i] = 0
	}
	return len(t)
}

const (
	cacheLine = 64
	heated    = 1 << 10
	cold      = 256 // bytes of a batch that may stay small
)

// Heat brings the batch into the cache of the processor, if its msgs messages are
// short: all of its lines at the same time, instead of one after the other while
// a lock is taken for each message.
func (c *Cursor) Heat(msgs int) {
	if len(c.enc) > msgs*maxShort {
		return
	}
	var x byte
	for i := 0; i < len(c.enc); i += cacheLine {
		x |= c.enc[i]
	}
	c.heat = x
}

// Recycle gives the memory of the batch back, if it can be used again. Nobody
// may look at small frames of the batch any more.
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

// Reset empties the batch and keeps its memory. References go: other batches
// may have them.
func (b *Batch) Reset() {
	clear(b.Refs)
	*b = Batch{Enc: b.Enc[:0], Refs: b.Refs[:0]}
}

// Message appends one message, whole.
func (b *Batch) Message(m *Message) {
	if len(m.Prefix) > 0 {
		b.Enc = append(b.Enc, m.Prefix...)
	}
	b.Msgs++
	if m.Parts == nil {
		b.payload(0, m.One, m.Owned)
		return
	}
	last := len(m.Parts) - 1
	for i, p := range m.Parts {
		flags := byte(More)
		if i == last {
			flags = 0
		}
		b.payload(flags, p, m.Owned)
	}
}

// payload appends a frame of a user, who may have more than one use for what
// is not copied: its receiver must not give it back.
func (b *Batch) payload(flags byte, p []byte, owned bool) {
	if owned && len(p) >= LargeFrame {
		p = unpooled(p)
	}
	b.Frame(flags, p, owned)
}

// More reports whether the next frame is followed by another one of the same
// message. It must not be called when Done.
func (c *Cursor) More() bool { return c.enc[c.pos]&More != 0 }
