package flow

// Run is a sequence of messages that a proxy moves from a queue to others,
// encoded as they arrived. Its memory is used again and again, unless one of them was huge.
type Run struct {
	b    Batch
	ends []int // where in b.Enc each message ends
}

// Len is the number of messages.
func (r *Run) Len() int { return len(r.ends) }

// Size is the number of bytes the run would take on the wire.
func (r *Run) Size() int { return r.b.Size() }

// Reset empties the run.
func (r *Run) Reset() {
	if cap(r.b.Enc) > encSize {
		r.b.Enc = nil
	}
	r.b.Reset()
	r.ends = r.ends[:0]
}

// Add takes the next message from c, large payloads by reference. It returns
// the size of all payloads. It must not be called when c is Done.
func (r *Run) Add(c *Cursor) (payload int) {
	from, at := c.pos, len(r.b.Enc)
	for {
		before := len(c.refs)
		flags, p := c.Next()
		payload += len(p)
		if len(c.refs) < before {
			r.b.Refs = append(r.b.Refs, Ref{At: at + c.pos - from, B: p})
			r.b.Held += len(p)
		}
		if flags&More == 0 {
			break
		}
	}
	r.b.Enc = append(r.b.Enc, c.enc[from:c.pos]...)
	r.ends = append(r.ends, len(r.b.Enc))
	return payload
}

// segment is the part from message i to message j, a batch that shares memory
// with the run.
func (r *Run) segment(i, j int) (enc []byte, refs []Ref) {
	from, to := 0, r.ends[j-1]
	if i > 0 {
		from = r.ends[i-1]
	}
	for _, ref := range r.b.Refs {
		if ref.At > from && ref.At <= to {
			refs = append(refs, Ref{At: ref.At - from, B: ref.B})
		}
	}
	return r.b.Enc[from:to], refs
}

// Reserve sets room for at most n messages aside, for an AppendRun that follows
// soon, and returns for how many. If it returns 0, the producer will be told
// when there is room.
func (q *Queue) Reserve(n int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(n)
	switch {
	case q.full():
		q.refused = true
		return 0
	case q.conflated != nil:
		return n
	case q.hwm > 0:
		n = min(n, q.hwm-q.count)
	}
	q.count += n
	return n
}

// AppendRun adds the first messages of a run, as many as there is room for, and
// returns how many. Its room includes reserved messages that Reserve set aside,
// which are set aside no longer.
func (q *Queue) AppendRun(r *Run, reserved int) (n int, res Result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conflated != nil {
		for n < r.Len() {
			enc, refs := r.segment(n, n+1)
			if !q.conflated.acceptEncoded(q, enc, refs) {
				break
			}
			n++
		}
		if n == 0 {
			return 0, Full
		}
		return n, q.signal()
	}
	q.spill(len(r.ends))
	q.count -= reserved
	n = len(r.ends)
	switch {
	case q.closed:
		n = 0
	case q.hwm > 0:
		n = min(n, max(reserved, q.hwm-q.count))
	}
	if n < len(r.ends) {
		q.refused = true
	}
	if n == 0 {
		return 0, Full
	}
	for i := 0; i < n; {
		j := q.fit(r, i, n)
		enc, refs := r.segment(i, j)
		q.tail.Encoded(enc, refs, j-i)
		size := len(enc)
		for _, ref := range refs {
			size += len(ref.B)
		}
		q.in.add(j-i, size)
		i = j
	}
	q.count += n
	return n, q.signal()
}
