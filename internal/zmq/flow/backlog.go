package flow

// chunkSize bounds the encoded bytes of one batch, and heldSize its
// references. A receiver that keeps one small message keeps at most one
// chunk alive with it.
const (
	chunkSize = 16 << 10
	heldSize  = 512 << 10
)

// BatchSize is the size of the buffers of small messages that are used again.
const BatchSize = chunkSize

// backlog is the messages of a queue that were not taken, as batches: sealed
// ones, and the tail to which messages are appended.
type backlog struct {
	sealed []Batch // sealed[head:] is older than tail, oldest first
	head   int
	tail   Batch
	chunk  int // size at which the tail is sealed

	blocks   bool // the tail uses pooled blocks, which the consumer gives back
	recycles bool // the consumer gave the memory of the last batch back
	hint     int  // size of the last tail, for the next one's allocation
	warm     int  // how much of the tail's memory is in this processor's cache
}

func (b *backlog) empty() bool { return b.head == len(b.sealed) && b.tail.Empty() }

// room prepares the tail for one more message, of n bytes.
func (b *backlog) room(n int) {
	at := len(b.tail.Enc)
	if at >= b.chunk || b.tail.Held >= heldSize || at > 0 && at+n > cap(b.tail.Enc) && cap(b.tail.Enc) >= b.chunk {
		b.seal()
	}
	if e := b.tail.Enc; e != nil {
		if at+n > cap(e) {
			b.tail.Enc = append(make([]byte, 0, max(min(2*cap(e), b.chunk), at+n)), e...)
		}
		return
	}
	b.warm = cold
	switch {
	case b.blocks:
		b.tail.Enc = GetBlock()[:0]
	case b.recycles && n <= chunkSize:
		b.tail.Enc, b.tail.pooled = GetBuffer(chunkSize)[:0], true
	case b.hint > 0:
		b.tail.Enc = make([]byte, 0, b.hint)
	}
}

// fit prepares the tail for messages of r from i to at most n, and returns up to
// which. One always fits.
func (b *backlog) fit(r *Run, i, n int) int {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	b.room(r.ends[i] - from)
	left := max(cap(b.tail.Enc), b.chunk) - len(b.tail.Enc)
	j := i + 1
	for j < n && r.ends[j]-from <= left {
		j++
	}
	return j
}

// seal ends the tail.
func (b *backlog) seal() {
	if b.hint = len(b.tail.Enc); b.hint > b.chunk/2 {
		b.hint = b.chunk
	}
	t := b.tail
	b.tail = Batch{}
	b.push(t)
}

// push adds a batch behind all messages.
func (b *backlog) push(x Batch) {
	if !b.tail.Empty() {
		b.seal()
	}
	if len(b.sealed) == cap(b.sealed) && b.head > len(b.sealed)/2 {
		n := copy(b.sealed, b.sealed[b.head:])
		clear(b.sealed[n:])
		b.sealed, b.head = b.sealed[:n], 0
	}
	b.sealed = append(b.sealed, x)
}

// pushFront adds a batch before all messages.
func (b *backlog) pushFront(x Batch) {
	if b.head > 0 {
		b.head--
		b.sealed[b.head] = x
		return
	}
	b.sealed = append(b.sealed, Batch{})
	copy(b.sealed[1:], b.sealed)
	b.sealed[0] = x
}

// take removes the oldest batch.
func (b *backlog) take() (x Batch, ok bool) {
	switch {
	case b.head < len(b.sealed):
		x = b.sealed[b.head]
		b.sealed[b.head] = Batch{}
		b.head++
		if b.head == len(b.sealed) {
			b.sealed, b.head = b.sealed[:0], 0
		}
	case !b.tail.Empty():
		x = b.tail
		b.hint = min(len(x.Enc), b.chunk)
		b.tail = Batch{}
	default:
		return x, false
	}
	return x, true
}

// size returns the bytes of all messages.
func (b *backlog) size() int {
	n := b.tail.Size()
	for i := range b.sealed[b.head:] {
		n += b.sealed[b.head+i].Size()
	}
	return n
}

// clear drops all messages and returns how many there were.
func (b *backlog) clear() (msgs int) {
	for _, x := range b.sealed[b.head:] {
		msgs += x.Msgs
	}
	msgs += b.tail.Msgs
	b.sealed, b.head, b.tail = nil, 0, Batch{}
	return msgs
}
