package netloop

// Writer collects the replies of a session. Small replies are appended to B,
// large values queued without a copy by Ref.
type Writer struct {
	// B is what was appended since the last flush. A session assigns to it
	// (w.B = append(w.B, ...)) and does not retain it.
	B []byte

	refs     []ref
	refBytes int
	soft     int
}

// ref is a value to be sent between B[:at] and B[at:].
type ref struct {
	at      int
	b       []byte
	release func()
}

// NewWriter returns a Writer for a caller that calls a session itself. Full
// becomes true at soft bytes.
func NewWriter(soft int) *Writer { return &Writer{soft: soft} }

// Drain appends all that is waiting to dst and empties w.
func (w *Writer) Drain(dst []byte) []byte {
	for _, p := range w.pieces(nil, 0, 2*len(w.refs)+1) {
		dst = append(dst, p...)
	}
	w.reset()
	return dst
}

// Ref queues b after everything written so far, without a copy. The bytes must
// not change until release is called. That happens exactly once, on any
// goroutine, when they have been written or the connection has ended. release
// may be nil.
func (w *Writer) Ref(b []byte, release func()) {
	w.refs = append(w.refs, ref{at: len(w.B), b: b, release: release})
	w.refBytes += len(b)
}

// Len returns the number of bytes waiting, including those of Ref.
func (w *Writer) Len() int { return len(w.B) + w.refBytes }

// Full reports whether Config.SoftQueued bytes are waiting. The session should
// then return [Yield] soon. It is called again when the peer has read them.
func (w *Writer) Full() bool { return w.Len() >= w.soft }

// reset empties w and releases the references.
func (w *Writer) reset() {
	for i := range w.refs {
		if r := w.refs[i].release; r != nil {
			r()
		}
		w.refs[i] = ref{}
	}
	w.refs = w.refs[:0]
	w.refBytes = 0
	w.B = w.B[:0]
}

// pieces appends to dst the byte slices to write, in order, without the first
// skip bytes. It appends at most limit slices.
func (w *Writer) pieces(dst [][]byte, skip, limit int) [][]byte {
	add := func(b []byte) {
		if skip >= len(b) {
			skip -= len(b)
			return
		}
		if len(dst) < limit {
			dst = append(dst, b[skip:])
		}
		skip = 0
	}
	from := 0
	for _, r := range w.refs {
		add(w.B[from:r.at])
		add(r.b)
		from = r.at
	}
	add(w.B[from:])
	return dst
}
