package netloop

// Writer collects the replies of a session. Append to B; queue a large value
// without copying it by Ref.
type Writer struct {
	// B is what has been appended since the last flush. A session may assign
	// to it (w.B = append(w.B, ...)) and must not keep it.
	B []byte

	refs     []ref
	refBytes int
	soft     int
}

// ref is a value that stands between B[:at] and B[at:].
type ref struct {
	at      int
	b       []byte
	release func()
}

// NewWriter is a Writer for a caller that drives a session by itself; Full
// turns true at soft bytes.
func NewWriter(soft int) *Writer { return &Writer{soft: soft} }

// Drain appends to dst everything that is waiting, and leaves w empty.
func (w *Writer) Drain(dst []byte) []byte {
	for _, p := range w.pieces(nil, 0, 2*len(w.refs)+1) {
		dst = append(dst, p...)
	}
	w.reset()
	return dst
}

// Ref queues b after everything written so far. The bytes must not change
// until release is called, which happens once, from any goroutine: when they
// have been written, or when the connection is gone. release may be nil.
func (w *Writer) Ref(b []byte, release func()) {
	w.refs = append(w.refs, ref{at: len(w.B), b: b, release: release})
	w.refBytes += len(b)
}

// Len is how many bytes are waiting, those of Ref included.
func (w *Writer) Len() int { return len(w.B) + w.refBytes }

// Full reports that enough is waiting (Config.SoftQueued): the session should
// return [Yield] as soon as it can, and goes on when the peer has taken it.
func (w *Writer) Full() bool { return w.Len() >= w.soft }

// reset drops what is waiting, releasing the references.
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
// skip bytes, but no more than limit of them.
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
