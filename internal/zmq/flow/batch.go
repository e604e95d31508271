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
	Ours bool   // a copy without other references: PutBuffer it once it is written
}

// Batch is a run of whole messages, encoded one after the other.
type Batch struct {
	Enc  []byte
	Refs []Ref
	Msgs int // messages in it; commands count for none
	Held int // bytes of Refs

	pooled bool     // Enc is a buffer of this package without other references
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

// Encoded appends bytes that are whole messages. The refs stay shared with
// their other owners.
func (b *Batch) Encoded(enc []byte, refs []Ref, msgs int) {
	at := len(b.Enc)
	b.Enc = append(b.Enc, enc...)
	for _, r := range refs {
		b.Refs = append(b.Refs, Ref{At: at + r.At, B: unpooled(r.B)})
		b.Held += len(r.B)
	}
	b.Msgs += msgs
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
