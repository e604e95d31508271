package flow

// Run is messages on their way from a queue to others, encoded as they were
// there. Its memory is used again and again, unless one of them was huge.
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
// soon, and returns for how many. With 0, the producer will be told when there
// is room.
func (q *Queue) Reserve(n int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spill(n)
	switch {
	case q.full():
		q.refused = true
		return 0
	case q.latest || q.topics != nil:
		return n
	case q.hwm > 0:
		n = min(n, q.hwm-q.count)
	}
	q.count += n
	return n
}

// AppendRun adds the messages of a run that there is room for: those before
// the others. It returns how many. Of the room it may have there are reserved
// messages, as Reserve returned them, which are set aside no longer.
func (q *Queue) AppendRun(r *Run, reserved int) (n int, res Result) {
	q.mu.Lock()
	if q.latest || q.topics != nil {
		q.mu.Unlock()
		return q.appendEach(r)
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
		q.mu.Unlock()
		return 0, Full
	}
	for i := 0; i < n; {
		j := q.fit(r, i, n)
		enc, refs := r.segment(i, j)
		q.tail.Encoded(enc, refs, j-i)
		q.in.Bytes += uint64(len(enc))
		for _, ref := range refs {
			q.in.Bytes += uint64(len(ref.B))
		}
		i = j
	}
	q.in.Msgs += uint64(n)
	q.count += n
	return n, q.wake()
}

// fit makes the tail ready to take messages of r from i to at most n; it
// returns up to which. One is always taken.
func (q *Queue) fit(r *Run, i, n int) int {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	q.room(r.ends[i] - from)
	at := len(q.tail.Enc)
	left := max(cap(q.tail.Enc), q.chunk) - at
	j := i + 1
	for j < n && r.ends[j]-from <= left {
		j++
	}
	return j
}

// appendEach is AppendRun for a queue in which a message takes the place of
// another.
func (q *Queue) appendEach(r *Run) (n int, res Result) {
	res = Full
	for i := range r.ends {
		enc, refs := r.segment(i, i+1)
		one := q.AppendEncoded(enc, refs)
		if one == Full {
			break
		}
		n++
		res = max(res, one)
	}
	return n, res
}

// Longest is the length of the longest topic: what follows it in a key makes
// no difference.
func (t *Prefixes[V]) Longest() int {
	if len(t.levels) == 0 {
		return 0
	}
	return t.levels[len(t.levels)-1].n
}
